"""Fixtures: the stand-in model, whether OpenCL serves, and scripts in a process of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import standin

from hetcomp.runtime import load

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent / "support"))

from fresh_process import Script, require_opencl, script_runner  # noqa: E402


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return standin.build(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def opencl(model: Path) -> str:
    """Name of the OpenCL device; skips where there is none that serves."""
    with load(model, plan="rows", quiet=True) as session:
        return require_opencl(session.status())


@pytest.fixture(scope="session")
def script() -> Script:
    return script_runner(_HERE)
