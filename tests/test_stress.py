"""A short run of `scripts/stress.py`; `make stress` is the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "stress.py"


def test_many_threads_and_models() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--inferences", "200", "--threads", "8"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 inferences, 8 threads" in done.stdout
    assert " 0 fallbacks" in done.stdout
