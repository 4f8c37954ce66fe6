"""However OpenCL fails, the result is right or one clear error says what failed, in bounded time.

A sample of the calls and allocations of a run; `make test-faults` strikes all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import standin
from fault_scenarios import SCENARIOS
from fault_shim import KINDS

import hetcomp
from hetcomp.errors import InternalError
from hetcomp.runtime import load

_HERE = Path(__file__).resolve().parent
_EVERY = 701


def test_a_fault_at_any_call(opencl: str) -> None:
    path = os.pathsep.join([str(Path(hetcomp.__file__).parent.parent), str(_HERE)])
    done = subprocess.run(
        [sys.executable, str(_HERE / "fault_campaign.py"), f"--every={_EVERY}", "--limit-s=240"],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
    )
    *rows, total = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr + "\n".join(str(row["bad"]) for row in rows)
    assert {row["kind"] for row in rows if row["points"] > 0} == set(KINDS)
    assert {row["scenario"] for row in rows if row["points"] > 0} == set(SCENARIOS)
    assert total["total"] > 150
    of_opencl = [row for row in rows if row["kind"] != "host"]  # the host's memory ends in errors
    assert all(row["outcomes"].keys() <= {"right", "dropped"} for row in of_opencl)


def test_no_memory_for_the_arena(tmp_path: Path) -> None:
    large = [replace(table, arena_bytes=1 << 50) for table in standin.tables()]
    with pytest.raises(InternalError, match=r"out of memory: an arena of \d+ bytes"):
        load(standin.build(tmp_path, model_tables=large), plan="cpu")


def test_no_shared_memory_for_the_arena(opencl: str, tmp_path: Path) -> None:
    *others, cpu = standin.tables()
    large = [replace(table, arena_bytes=1 << 50) for table in others]
    with load(standin.build(tmp_path, model_tables=[*large, cpu]), quiet=True) as session:
        feeds = standin.feeds(1)
        expected = standin.reference(feeds["x"], feeds["y"])
        np.testing.assert_array_equal(session.run(feeds)["out"], expected["out"])
        assert session.status().tier == "cpu"
        assert "clSVMAlloc" in session.status().why_no_gpu
