"""What a split of every operator would gain on a device of which only operators' times are known.

Splits are ideal: a part takes its share of the whole, cuts are as fine as a thousandth. They are
priced as `bench planner` prices a layer, each split by a given overhead, and either processor alone
is a candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from hetcomp.bench.planner_choice import alone, predict_us
from hetcomp.cost.costs import Costs, SyncCost, TaskCost
from hetcomp.cost.operator_times import OperatorTimes
from hetcomp.cost.times import MeasuredTimes
from hetcomp.plan.cuts import near_cuts
from hetcomp.plan.graph import Grid, Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place

__all__ = ["OverheadRow", "what_if"]

_TILES = 1000


@dataclass(frozen=True)
class OverheadRow:
    """All operators under one overhead.

    Attributes
    ----------
    overhead_us
        Added to every operator that is split.
    operators, gaining
        How many there are, and how many are faster when split.
    speedup_median, speedup_max
        Over the better single processor, which is kept where a split does not pay.
    """

    overhead_us: float
    operators: int
    gaining: int
    speedup_median: float
    speedup_max: float

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {**asdict(self), "gaining_share": self.gaining / self.operators}


def what_if(times: OperatorTimes, overheads_us: Sequence[float]) -> tuple[OverheadRow, ...]:
    """One row for each overhead."""
    return tuple(_row(times, overhead_us) for overhead_us in overheads_us)


def _row(times: OperatorTimes, overhead_us: float) -> OverheadRow:
    speedups = [_speedup(cost, overhead_us) for cost in times.costs.tasks]
    return OverheadRow(
        overhead_us=overhead_us,
        operators=len(speedups),
        gaining=sum(speedup > 1.0 for speedup in speedups),
        speedup_median=median(speedups),
        speedup_max=max(speedups),
    )


def _speedup(cost: TaskCost, overhead_us: float) -> float:
    grid = Grid(_TILES)
    task = Task("operator", "conv2d", 0, (), (), grid, Grid(1), Axis.ROWS.value, "")
    graph = TaskGraph("operator", (), (), (task,), (), (), 0)
    gpu_us = cost.gpu_us or float("inf")
    balanced = gpu_us / (cost.cpu_us + gpu_us)
    splits = (
        Decision(task.name, Place.SPLIT, Axis.ROWS, cut)
        for cut in near_cuts(task, Axis.ROWS, balanced)
    )
    sync = SyncCost(split_us=overhead_us, gpu_launch_us=0.0)
    known = MeasuredTimes(Costs((cost,)), [(_TILES, 1)])
    predicted = predict_us(graph, (*alone(task), *splits), known, sync)
    return float(predicted[:2].min() / predicted.min())
