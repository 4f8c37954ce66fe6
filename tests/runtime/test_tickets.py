"""Steps whose tiles both processors take by turns: every run gives NumPy's numbers."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import standin
from fresh_process import Script
from test_results import assert_right

from hetcomp.errors import InputError, InternalError
from hetcomp.plan.plan import Axis
from hetcomp.plan.table import StepTable
from hetcomp.runtime import load

N_TASKS = 8


def table(ticket: int, axis: Axis = Axis.ROWS, **leaves: int) -> StepTable:
    return standin.make_table(
        f"{ticket} {axis.value}", [standin.Placing(axis, 1, ticket, **leaves)] * N_TASKS
    )


def random_table(seed: int) -> StepTable:
    """Tickets of any size, halves, and single processors."""
    rng = random.Random(seed)
    placings = []
    for _ in range(N_TASKS):
        axis = rng.choice(list(Axis))
        grid = standin.ROW_GRID if axis is Axis.ROWS else standin.CHANNEL_GRID
        cut = grid.legal_cut(rng.randint(0, grid.extent))
        ticket = rng.choice([0, rng.randint(2 if grid.ragged else 1, grid.extent)])
        leaves = [0, rng.randint(0, grid.extent // ticket) if ticket else 0]
        rng.shuffle(leaves)
        placings.append(standin.Placing(axis, cut, ticket, *leaves))
    return standin.make_table(f"random-{seed}", placings, signal_all=rng.random() < 0.3)


@pytest.mark.parametrize("chain", ["auto", "off"])
@pytest.mark.parametrize(
    ("ticket", "axis"),
    [(2, Axis.ROWS), (5, Axis.ROWS), (12, Axis.ROWS), (1, Axis.CHANNELS), (3, Axis.CHANNELS)],
)
def test_every_run_equals_numpy(
    model: Path, opencl: str, ticket: int, axis: Axis, chain: str
) -> None:
    with load(model, plan="rows", chain=chain) as session:
        session.set_table(table(ticket, axis))
        for seed in range(60):
            assert_right(session, seed)
        assert session.status().fallbacks == 0


@pytest.mark.parametrize("chain", ["auto", "off"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("side", ["cpu_leaves", "gpu_leaves"])
@pytest.mark.parametrize("left", [1, 3, 6])
def test_the_slower_one_leaves_the_last_tickets(
    model: Path, opencl: str, left: int, side: str, threads: int, chain: str
) -> None:
    """Of six; who leaves all six computes nothing."""
    with load(model, plan="rows", chain=chain, threads=threads) as session:
        session.set_table(table(2, **{side: left}))
        for seed in range(10):
            assert_right(session, seed)
        assert session.status().fallbacks == 0


@pytest.mark.parametrize("seed", range(16))
def test_tickets_beside_halves(model: Path, opencl: str, seed: int) -> None:
    with load(model, plan="rows", ahead="on", threads=1 + seed % 3) as session:
        session.set_table(random_table(seed))
        for run in range(12):
            assert_right(session, run)
        assert session.status().fallbacks == 0


def test_many_work_groups_take_tickets(model: Path, opencl: str) -> None:
    with load(model, plan="rows", pin="off", chain="off") as session:
        session.set_table(table(2))
        for seed in range(5):
            assert_right(session, seed)
        assert session.status().fallbacks == 0


@pytest.mark.parametrize("fault", ["wedge", "enqueue"])
def test_a_device_that_fails_with_tickets(
    script: Script, model: Path, opencl: str, fault: str
) -> None:
    answer, _ = script(
        f"""
        import numpy as np, standin
        from hetcomp.runtime import load
        from test_tickets import table
        session = load({str(model)!r}, plan="rows", fault={fault!r}, timeout_ms=200, quiet=True)
        session.set_table(table(2))
        right = []
        for seed in range(5):
            feeds = standin.feeds(seed)
            right.append(bool(np.array_equal(
                session.run(feeds)["out"], standin.reference(**feeds)["out"])))
        answer = [all(right), session.status().tier, session.status().fallbacks]
        """
    )
    assert answer == [True, "cpu", 1]


def test_a_failing_kernel_leaves_no_tickets_behind(model: Path, opencl: str) -> None:
    with load(model, plan="rows") as session:
        session.set_table(table(2))
        feeds = standin.feeds(3)
        for seed in range(3):
            poisoned = {**feeds, "y": feeds["y"].copy()}
            poisoned["y"][0, 0] = standin.POISON
            with suppress(InternalError):  # or the OpenCL device has taken what fails
                session.run(poisoned)
            assert_right(session, seed)
        assert session.status().fallbacks == 0


def on_one_side(side: str, **fields: int) -> StepTable:
    good = table(2)
    steps = list(getattr(good, side))
    steps[3] = replace(steps[3], **fields)
    return replace(good, **{side: tuple(steps)})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (on_one_side("cpu", ticket=0), "not one equal step"),
        (on_one_side("gpu", ticket=3), "not one equal step"),
        (on_one_side("gpu", row_begin=2), "not one equal step"),
        (replace(table(2), cpu=table(2).cpu[:-1]), "not one equal step|does not|waits"),
        (table(1), "overlap"),
        (table(13), "tickets of 13 tiles of 12"),
        (table(9, Axis.CHANNELS), "tickets of 9 tiles of 8"),
        (table(-(2**31)), "tickets of"),
        (table(2, cpu_leaves=7), "of 6 tickets one processor leaves 7"),
        (table(2, gpu_leaves=-1), "one processor leaves -1"),
        (table(2, cpu_leaves=1, gpu_leaves=2), "leaves 1 and the other one 2, one of them must"),
    ],
)
def test_bad_tickets_are_refused(model: Path, bad: StepTable, message: str) -> None:
    with load(model, plan="cpu") as session, pytest.raises(InputError, match=message):
        session.set_table(bad)
