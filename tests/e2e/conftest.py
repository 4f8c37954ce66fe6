"""Fixtures: compiled zoo networks, whether OpenCL serves, and Python in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from networks import Networks

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from fresh_process import Script, require_opencl, script_runner
from npu_networks import NpuNetworks


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    return Networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="session")
def npu_networks(tmp_path_factory: pytest.TempPathFactory) -> NpuNetworks:
    return NpuNetworks(tmp_path_factory.mktemp("npu_networks"))


@pytest.fixture(scope="session")
def opencl(networks: Networks) -> str:
    """Name of the OpenCL device; skips where there is none that serves."""
    with networks("deepfm").session("gpu") as session:
        return require_opencl(session.status())


@pytest.fixture(scope="session")
def script() -> Script:
    return script_runner(timeout=120.0)
