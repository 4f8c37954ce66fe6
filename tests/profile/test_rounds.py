"""Batches are visited in rounds, and a failure ends a batch alone."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from hetcomp.cost.work import KernelWork
from hetcomp.errors import DeviceError
from hetcomp.profile.build import Build, Job
from hetcomp.profile.measurer import Measurer
from hetcomp.profile.rounds import Rounds
from hetcomp.profile.visits import Turns, Visit

WORK = KernelWork("linear", "direct", "cpu", 1, 1, 1, 1)


class Fake:
    """Visits at once; batch 1 fails at its second visit."""

    def __init__(self) -> None:
        self.order: list[int] = []

    def visit(self, build: Build) -> Visit:
        """One inference of one kernel."""
        number = build.job.number
        self.order.append(number)
        if number == 1 and self.order.count(1) == 2:
            raise DeviceError("gone")
        return (Turns((WORK,), ("layer",), np.full((1, 1), 10.0), np.full((1, 1), 5.0)),)


def build(number: int) -> Build:
    return Build(Job(number, (), 0, False, False), Path(f"batch{number}.so"), 0.0)


def test_every_batch_has_its_visits_some_batches_apart() -> None:
    fake = Fake()
    rounds = Rounds(cast(Measurer, fake), visits=3)
    found = [item for number in (0, 1, 2, 3) for item in rounds.add(build(number))]
    found += rounds.finish()
    assert fake.order == [0, 0, 1, 0, 1, 2, 2, 3, 2, 3, 3]
    assert [item.build.job.number for item in found] == [0, 1, 2, 3]
    assert [item.failure for item in found] == ["", "DeviceError: gone", "", ""]
    assert [len(sample.times_us) for item in found for sample in item.samples] == [3, 3, 3]
