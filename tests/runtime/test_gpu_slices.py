"""Launches are no longer than asked for, none waits on the device, and answers stay right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import standin

from hetcomp.errors import InputError
from hetcomp.plan.plan import Axis
from hetcomp.plan.table import StepTable
from hetcomp.runtime import load

_TILE_US = 100.0
_TILES = standin.ROW_GRID.extent * standin.CHANNEL_GRID.extent


def _timed(table: StepTable) -> StepTable:
    """Every tile takes the same time on the GPU."""
    steps = (
        replace(
            step,
            predicted_us=_TILE_US
            * (step.row_end - step.row_begin)
            * (step.channel_end - step.channel_begin),
        )
        for step in table.gpu
    )
    return replace(table, gpu=tuple(steps))


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tables = [_timed(table) for table in standin.tables()]
    tickets = [standin.Placing(Axis.ROWS, 6, ticket=2)] * 8
    tables.append(_timed(standin.make_table("tickets", tickets)))
    tables.append(standin.make_table("unpredicted", [standin.ALL_GPU] * 8))
    return standin.build(tmp_path_factory.mktemp("sliced"), model_tables=tables)


@pytest.mark.parametrize("plan", ["rows", "channels", "mixed", "gpu", "tickets"])
@pytest.mark.parametrize("slice_us", [300, 1000, 100000])
@pytest.mark.parametrize("tier", ["auto", "event", "finish"])
def test_answers_are_right(sliced: Path, opencl: str, plan: str, slice_us: int, tier: str) -> None:
    with load(sliced, plan=plan, gpu_slice_us=slice_us, tier=tier) as session:
        for seed in range(3):
            feeds = standin.feeds(seed)
            expected = standin.reference(feeds["x"], feeds["y"])
            got = session.run(feeds)
            for name, array in expected.items():
                np.testing.assert_array_equal(got[name], array)
        status = session.status()
    assert status.tier == ("svm" if tier == "auto" else tier)
    assert (status.plan, status.fallbacks) == (plan, 0)


def test_launches_are_short(sliced: Path, opencl: str) -> None:
    whole_us = _TILES * _TILE_US
    slice_us = whole_us / 5
    with load(sliced, plan="gpu", gpu_slice_us=int(slice_us)) as session:
        session.run(standin.feeds(0))
        status, stats = session.status(), session.stats()
    assert status.gpu_steps == status.gpu_launches > 8 * 4
    assert sum(step.predicted_us for step in stats.steps) == pytest.approx(8 * whole_us)
    # 2.4 of 12 rows are no limit for the tiles: pieces have two, though five pieces were enough.
    assert max(step.predicted_us for step in stats.steps) <= slice_us


@pytest.mark.parametrize(
    ("plan", "slice_us", "over"),
    [
        ("gpu", 0, 0),
        ("gpu", 4800, 0),  # two of twelve rows of eight tiles
        ("gpu", 99, 8 * 11),  # cut along one axis alone; the last two of twelve rows are one piece
        ("tickets", 4800, 8),
        ("unpredicted", 4800, 8),
    ],
)
def test_steps_without_a_limit_are_counted(
    sliced: Path, opencl: str, plan: str, slice_us: int, over: int
) -> None:
    with load(sliced, plan=plan, gpu_slice_us=slice_us) as session:
        session.run(standin.feeds(0))
        assert session.stats().gpu_steps_over_slice == over


@pytest.mark.parametrize("tier", ["svm-ahead", "mailbox"])
def test_tiers_that_wait_on_the_device_are_refused(sliced: Path, tier: str) -> None:
    with pytest.raises(InputError, match=f'gpu_slice_us.*tier "{tier}" launches wait'):
        load(sliced, plan="gpu", gpu_slice_us=300, tier=tier, experimental=True)


def test_no_limit_changes_nothing(sliced: Path, opencl: str) -> None:
    with load(sliced, plan="gpu") as session:
        assert session.status().gpu_steps == 8
        assert session.status().tier == "svm-ahead"


def test_bad_limits_are_refused(sliced: Path) -> None:
    with pytest.raises(InputError, match="gpu_slice_us"):
        load(sliced, gpu_slice_us=-1)
