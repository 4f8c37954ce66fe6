"""The log of a profile: resumed after a cut, refused where it belongs elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from hetcomp.cost.profile import KernelSample
from hetcomp.cost.work import KernelWork
from hetcomp.errors import ProfileError
from hetcomp.profile.constants import is_complete
from hetcomp.profile.families import Point
from hetcomp.profile.log import Batch, Header, MeasureLog
from hetcomp.profile.passes import Passes
from hetcomp.profile.products import Linear

HEADER = Header("here", "0.1", 0)
POINT = Point("linear", Linear(4, 32, 64, 1), (0.5, 0.25, 0.5, 0.0))
WORK = KernelWork("linear", "direct", "cpu", 1, 2, 1, 2, {"flops": 1.0})
BATCH = Batch(0, (POINT,), (KernelSample(WORK, (1.5,), "linear"),))


def written(path: Path) -> MeasureLog:
    log = MeasureLog.open(path, HEADER)
    log.put_constants("flags", {"split_us": 1.5})
    log.put_batch(BATCH)
    log.put_spent(2.5)
    return log


def test_a_log_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path)
    again = MeasureLog.open(path, HEADER)
    assert again.constants == {"flags": {"split_us": 1.5}}
    assert again.batches == [BATCH]
    assert again.spent_s == 2.5


@pytest.mark.parametrize("cut", [1, 3, 12])
def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "log"
    written(path)
    path.write_bytes(path.read_bytes()[:-cut])
    log = MeasureLog.open(path, HEADER)
    assert (log.batches, log.spent_s) == ([BATCH], 0.0)
    log.put_spent(4.0)
    assert MeasureLog.open(path, HEADER).spent_s == 4.0


@pytest.mark.parametrize(
    "header", [Header("there", "0.1", 0), Header("here", "0.2", 0), Header("here", "0.1", 1)]
)
def test_a_log_of_another_run_is_refused(tmp_path: Path, header: Header) -> None:
    written(tmp_path / "log")
    with pytest.raises(ProfileError, match="was begun with"):
        MeasureLog.open(tmp_path / "log", header)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a shopping list\n")
    with pytest.raises(ProfileError, match="is no log"):
        MeasureLog.open(path, HEADER)
    assert path.read_text() == "a shopping list\n"


def test_a_log_of_failures_alone_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = MeasureLog.open(path, HEADER)
    log.put_constants("flags", {"split_us": 1.5})
    assert MeasureLog.open(path, HEADER).constants  # no kernel was tried yet
    log.put_failure(0, "the device is gone")
    log.put_spent(700.0)
    again = MeasureLog.open(path, HEADER)
    assert (again.constants, again.failures, again.spent_s) == ({}, [], 0.0)
    assert MeasureLog.open(path, HEADER) == again


def test_passes_over_constants_go_on_where_a_run_ended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    first = Passes({}, MeasureLog.open(path, HEADER).put_pass)
    first.add("peaks", {"flops": 3.0})
    first.add("lines", {"read_ns": 5.0})
    log = MeasureLog.open(path, HEADER)
    again = Passes(log.passes, log.put_pass)
    assert (again.count("peaks"), again.count("lines"), again.count("threads")) == (1, 1, 0)
    for flops in (1.0, 2.0):
        again.add("peaks", {"flops": flops})
    expected = {"peaks": {"flops": 2.0}, "lines": {"read_ns": 5.0}}
    assert again.medians() == expected
    reopened = MeasureLog.open(path, HEADER)
    assert Passes(reopened.passes, reopened.put_pass).medians() == expected
    assert not is_complete(reopened.constants, gpu=False)


def test_constants_that_a_kill_left_incomplete_are_measured_again() -> None:
    alone = {stage: {"x": 1.0} for stage in ("start-up", "peaks", "threads")}
    assert is_complete(alone, gpu=False)
    assert not is_complete(alone, gpu=True)
    assert not is_complete({"peaks": {}}, gpu=False)
    assert not is_complete({}, gpu=False)
