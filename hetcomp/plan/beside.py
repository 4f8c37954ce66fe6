"""Branches that run on the NPU while CPU and GPU run others.

The search over the tasks takes a task on the NPU to hold the CPU, which is so in a chain. Where a
network has branches, each chain of it is tried on the NPU and off it here, and the whole plan
simulated, with regions that are handed over as soon as what they read is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hetcomp.plan.granularity import unit_starts
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Decision, Place

__all__ = ["beside", "on_npu_beside"]

Decisions = tuple[Decision, ...]

_TRIALS = 200
"""Plans simulated at most: what takes about a second."""
_GAIN = 0.99
"""A change is made for a hundredth of the time, no less."""


def beside(
    graph: TaskGraph,
    on_npu: Sequence[Decision | None],
    off_npu: Sequence[Decision],
    first: Decisions,
    predict_us: Callable[[Decisions], float],
) -> Decisions:
    """The fastest decisions found by moving chains to the NPU or off it.

    Parameters
    ----------
    graph
        The tasks.
    on_npu, off_npu
        How each task would be placed there, None where it cannot be, and elsewhere.
    first
        Where to begin.
    predict_us
        Time of an inference by these decisions.
    """
    units = _units(graph)
    if len(units) < 2:
        return first
    best, best_us, left = first, predict_us(first), _TRIALS
    changed = True
    while changed:
        changed = False
        for unit in units:
            for moved in (_moved(best, unit, on_npu), _moved(best, unit, off_npu)):
                if moved == best or left == 0:
                    continue
                left -= 1
                time_us = predict_us(moved)
                if time_us < _GAIN * best_us:
                    best, best_us, changed = moved, time_us, True
    return best


def on_npu_beside(task: Task, off: Decision) -> Decision | None:
    """`task` on the NPU, where it is elsewhere by `off`; None where the NPU takes it not."""
    if off.npu_us is None:
        return None
    others = (("cpu", off.cpu_us), ("gpu", off.gpu_us))
    times = ", ".join(f"{name} {us:.0f} µs" for name, us in others if us is not None)
    return Decision(
        task.name,
        Place.NPU,
        reason=f"npu: {off.npu_us:.0f} µs, beside other branches; {times}",
        cpu_us=off.cpu_us,
        gpu_us=off.gpu_us,
        npu_us=off.npu_us,
    )


def _units(graph: TaskGraph) -> list[range]:
    """The chains of a graph."""
    starts = [i for i, start in enumerate(unit_starts(graph, "chain")) if start]
    ends = [*starts[1:], len(graph.tasks)]
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]


def _moved(best: Decisions, unit: range, others: Sequence[Decision | None]) -> Decisions:
    """`best` with the tasks of a unit as in `others`, as far as these say."""
    moved = list(best)
    for index in unit:
        other = others[index]
        if other is not None and (other.place is Place.NPU) != (best[index].place is Place.NPU):
            moved[index] = other
    return tuple(moved)
