"""Fixtures: compiled zoo networks, whether OpenCL serves, and Python in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from networks import Networks

import hetcomp


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    return Networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="session")
def opencl(networks: Networks) -> str:
    """Name of the OpenCL device; skips where there is none that serves."""
    with networks("deepfm").session("gpu") as session:
        status = session.status()
    if status.tier != "svm-ahead":
        reason = f"no OpenCL device with fine-grained SVM: {status.why_no_gpu}"
        if os.environ.get("HETCOMP_REQUIRE_OPENCL"):  # CI: co-execution must not go untested
            pytest.fail(reason)
        pytest.skip(reason)
    return status.device


Script = Callable[..., tuple[Any, str]]


@pytest.fixture(scope="session")
def script() -> Script:
    """Runs Python text in a fresh process: returns what it stored in `answer`, and its stderr."""
    root = str(Path(hetcomp.__file__).parent.parent)

    def run(text: str, *, timeout: float = 120.0, **env: str) -> tuple[Any, str]:
        body = textwrap.dedent(text) + "\nimport json as _json\nprint(_json.dumps(answer))\n"
        done = subprocess.run(
            [sys.executable, "-c", body],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "PYTHONPATH": root, **env},
        )
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    return run
