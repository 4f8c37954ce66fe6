"""What a border costs, from the times of the processors that were seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hetcomp.profile import border
from hetcomp.profile.probes import OTHER_ROWS, ROWS


@pytest.mark.parametrize(("gpu_us", "row_ns"), [((30.0, 20.0), 750.0), ((None, 20.0), 500.0)])
def test_a_gpu_that_is_always_done_first_does_not_count(
    monkeypatch: pytest.MonkeyPatch, gpu_us: tuple[float | None, float], row_ns: float
) -> None:
    """The CPU's part takes 10 us, and 5 us where the outputs are apart, for 10 rows."""
    places: list[int] = []

    class Room:
        graph: Any = SimpleNamespace(
            tasks={k: SimpleNamespace(channels=SimpleNamespace(extent=8, legal_cut=int))
                   for k in (ROWS, OTHER_ROWS)}
        )  # fmt: skip

        def layout(self, tensors: dict[int, tuple[int, int]]) -> None:
            places.append(tensors[OTHER_ROWS][1])

        def rows(self, task: int) -> int:
            return 10

    monkeypatch.setattr(border, "whole", lambda graph, task: border.Step(task, 0, 1, 0, 8))
    monkeypatch.setattr(border, "table_of", lambda layout, **steps: None)
    monkeypatch.setattr(border, "cpu_us", lambda runs, step: [(10.0, 5.0)[places[-1] - 1]])

    def seen(table: Any, runs: Any, step: int) -> list[float]:
        time_us = gpu_us[places[-1] - 1]
        return [] if time_us is None else [time_us]

    monkeypatch.setattr(border, "gpu_us", seen)
    bench: Any = SimpleNamespace(runs=lambda table, reps: ())
    found = border.measure_border(bench, Room())  # type: ignore[arg-type]
    assert found == {"row_ns": pytest.approx(row_ns)}
