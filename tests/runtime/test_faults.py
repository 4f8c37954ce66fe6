"""However OpenCL fails, the result is right or one clear error says what failed, in bounded time.

A sample of the calls and allocations of a run; `make test-faults` strikes all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import standin
from fault_scenarios import SCENARIOS, Answer, judge
from fault_shim import FOR_EVER, KINDS, TIMEOUT_MS, Fault, Mode, Shim, build_shim

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


def test_a_wedge_is_timed(opencl: str, model: Path, tmp_path: Path) -> None:
    """The meter of the campaign sees a wait for the device."""
    answer, library = Answer(), build_shim(tmp_path)
    options = {"fault": "wedge", "timeout_ms": 400, "quiet": True}
    with load(model, plan="rows", opencl_library=library, **options) as session:
        with answer.timing("run"):
            session.run(standin.feeds(0))
        assert session.status().timeouts == 1
    assert answer.longest["run"] > 0.4 * 0.9


def test_a_late_run_is_told() -> None:
    answer = Answer()
    with answer.timing("run"):
        time.sleep(2.5e-3 * TIMEOUT_MS)
    judge(answer, KINDS["fail"], "clFinish", {}, [])
    assert answer.verdict == "late"


def test_a_launch_that_comes_back_late(opencl: str, model: Path, tmp_path: Path) -> None:
    """The device is given up, so that the next inference need not wait for it."""
    library = build_shim(tmp_path)
    shim = Shim(library)
    options = {"tier": "svm", "ahead": "off", "timeout_ms": TIMEOUT_MS, "quiet": True}
    with load(model, plan="gpu", opencl_library=library, **options) as session:
        shim.order(Fault(Mode.DELAY, 1, FOR_EVER))
        got = session.run(standin.feeds(0))
        shim.order(Fault(Mode.FORWARD, 0, 0))
        status = session.status()
    expected = standin.reference(**standin.feeds(0))
    np.testing.assert_array_equal(got["out"], expected["out"])
    assert (status.timeouts, status.fallbacks, status.device_bad) == (1, 1, True)
    assert "clEnqueueNDRangeKernel took 2" in status.why_no_gpu


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
