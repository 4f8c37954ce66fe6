"""scripts/compare_options.py measures what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "compare_options.py"


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (
            ["--b", '{"trace": true}'],
            ["A {}: plan rows", 'B {"trace": true}: plan rows', "afterwards:\nA {}: plan rows"],
        ),
        (
            ["--b", '{"chain": "off"}'],
            ["tier svm-ahead, 8 launches", "for each of 7 launches more"],
        ),
        (["--b", '{"pipeline": "on"}', "--requests", "4"], ["inferences a second: A "]),
        (
            ["--a", '{"plan": "cpu"}', "--b", '{"verify": "off"}', "--load"],
            ["s per GB of the file"],
        ),
    ],
)
def test_short_run(model: Path, opencl: str, arguments: list[str], printed: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), str(model), "--rounds", "2", "--reps", "2", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for text in (*printed, "2 rounds)"):
        assert text in done.stdout
