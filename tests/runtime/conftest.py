"""Fixtures: the stand-in model, whether OpenCL serves, and scripts in a process of their own."""

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
import standin

import hetcomp
from hetcomp.runtime import load

_PATH = os.pathsep.join([str(Path(hetcomp.__file__).parent.parent), str(Path(__file__).parent)])


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return standin.build(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def opencl(model: Path) -> str:
    """Name of the OpenCL device; skips where there is none that serves."""
    with load(model, plan="rows", quiet=True) as session:
        status = session.status()
    if status.tier != "svm-ahead":
        reason = f"no OpenCL device with fine-grained SVM: {status.why_no_gpu}"
        if os.environ.get("HETCOMP_REQUIRE_OPENCL"):  # CI: co-execution must not go untested
            pytest.fail(reason)
        pytest.skip(reason)
    return status.device


Script = Callable[..., tuple[Any, str]]


@pytest.fixture
def script() -> Script:
    """Runs Python text in a fresh process: returns what it stored in `answer`, and its stderr."""

    def run(text: str, *, timeout: float = 60.0, **env: str) -> tuple[Any, str]:
        body = textwrap.dedent(text) + "\nimport json as _json\nprint(_json.dumps(answer))\n"
        done = subprocess.run(
            [sys.executable, "-c", body],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "PYTHONPATH": _PATH, **env},
        )
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    return run
