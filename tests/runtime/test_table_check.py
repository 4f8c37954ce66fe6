"""The runtime refuses a step table that would leave its memory or wait for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import standin

from hetcomp.errors import InputError
from hetcomp.plan.table import StepTable
from hetcomp.runtime import Session, load

Edit = Callable[[StepTable], StepTable]


@pytest.fixture(scope="module")
def session(model: Path) -> Iterator[Session]:
    with load(model, plan="cpu") as opened:
        yield opened


def step(side: str, index: int, **fields: object) -> Edit:
    """Changes one step."""

    def edit(table: StepTable) -> StepTable:
        steps = list(getattr(table, side))
        steps[index] = replace(steps[index], **fields)
        return replace(table, **{side: tuple(steps)})

    return edit


def offset(index: int, value: int) -> Edit:
    """Changes one offset."""
    return lambda t: replace(t, offsets=(*t.offsets[:index], value, *t.offsets[index + 1 :]))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (step("cpu", 0, task=8), "no task 8"),
        (step("cpu", 0, task=-1), "no task -1"),
        (step("gpu", 1, row_end=13), r"rows \[6, 13\) of 12"),
        (step("gpu", 1, row_begin=-1), r"rows \[-1, "),
        (step("cpu", 1, channel_end=9), "channels"),
        (step("cpu", 1, row_end=0), r"rows \[0, 0\)"),
        (step("cpu", 3, wait=9), "waits for 9 of 8"),
        (step("cpu", 3, wait=-1), "waits for -1"),
        (step("gpu", 3, signal=False), "does not signal|must signal"),
        (step("gpu", 7, signal=False), "last GPU step must signal"),
        (step("cpu", 0, wait=8), "dead-lock|does not signal"),
        (offset(0, 64), "alignment 128"),
        (offset(0, -128), "negative offset"),
        (offset(0, 10**9), "does not fit"),
        (lambda t: replace(t, arena_bytes=1000), "does not fit"),
        (lambda t: replace(t, offsets=t.offsets[1:]), "offsets for"),
    ],
)
def test_bad_tables(session: Session, edit: Edit, message: str) -> None:
    table = standin.make_table("bad", [standin.Placing(standin.Axis.ROWS, 6)] * 8, signal_all=False)
    with pytest.raises(InputError, match=message):
        session.set_table(edit(table))
    assert session.status().plan == "cpu"


def test_dead_lock(session: Session) -> None:
    table = standin.make_table("dead", [standin.Placing(standin.Axis.ROWS, 6)] * 8, signal_all=True)
    both = step("cpu", 0, wait=1)(step("gpu", 0, wait=1)(table))
    with pytest.raises(InputError, match="dead-lock: CPU step 0 and GPU step 0"):
        session.set_table(both)


def test_not_json(session: Session) -> None:
    with pytest.raises(InputError, match=r"not JSON|expected a JSON object"):
        session._open_api().set_table("{")
    with pytest.raises(InputError, match='no key "name"'):
        session._open_api().set_table("{}")
