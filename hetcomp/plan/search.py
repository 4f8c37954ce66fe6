"""Search over the task order: a dynamic programme with two clocks, bounded to a beam.

A state stands for placements of the first tasks. All that the rest of the network can see of them
are the clocks of both processors, and for every tensor still to be read who made it and when. Of
two states that agree on the makers the one that is nowhere later dominates. On a chain this is the
exact dynamic programme over the last placement, with all that is not dominated kept; where many
tensors live at once, states are kept up to `width`: half of them those with the least time so far,
half those with the least work, which have branches to run side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetcomp.errors import InternalError
from hetcomp.plan.objective import LATENCY, Objective
from hetcomp.plan.problem import Options, Problem

__all__ = ["Found", "search"]

_WORK = 1_000_000
"""Placements tried in all: what takes about half a second."""
_LEAST_WIDTH = 128

Array = NDArray[Any]


@dataclass(frozen=True)
class Found:
    """A placement for every task, as positions among its options, and what the objective says."""

    picks: tuple[int, ...]
    value: float


@dataclass(frozen=True)
class _States:
    """Placements of the first tasks.

    Attributes
    ----------
    clocks
        When CPU and GPU are free, shape (states, 2).
    toll
        What is to be added to the span's value, shape (states,).
    live
        Tasks whose outputs are still read, and the column of each in `picks` and `ends`.
    picks
        Placements of the live tasks, shape (states, live).
    ends
        When either part of each ended, shape (states, live, 2).
    label
        Common placement of the unit that the next task may continue, shape (states,).
    """

    clocks: Array
    toll: Array
    live: dict[int, int]
    picks: Array
    ends: Array
    label: Array


@dataclass(frozen=True)
class _Step:
    """Where the states after a task come from: the state before, and the task's placement."""

    parents: Array
    picks: Array


def search(
    problem: Problem,
    objective: Objective = LATENCY,
    *,
    labels: Sequence[Array] | None = None,
    starts: Sequence[bool] | None = None,
    width: int | None = None,
) -> Found:
    """The best placements that the beam finds.

    Parameters
    ----------
    problem
        What placements cost.
    objective
        What to minimise.
    labels, starts
        Where several tasks are to be placed alike: a label for each placement of each task, and
        whether a task begins a new unit, within which the labels must agree.
    width
        States to keep; None: as many as take about half a second.

    Raises
    ------
    InternalError
        No placements have agreeing labels.
    """
    last_use = _last_uses(problem)
    placements = sum(len(options.cpu_us) for options in problem.tasks)
    width = width or max(_LEAST_WIDTH, _WORK // max(1, placements))
    states = _States(
        np.array([[0.0, problem.lag_us]]),
        np.zeros(1),
        {},
        np.zeros((1, 0), np.int64),
        np.zeros((1, 0, 2)),
        np.full(1, -1),
    )
    steps = []
    for index, options in enumerate(problem.tasks):
        own = None if labels is None or starts is None else (labels[index], starts[index])
        states, step = _extend(states, index, options, problem, objective, last_use, own, width)
        steps.append(step)
    best = int(np.argmin(_values(states, objective).max(axis=1)))
    value = float(_values(states, objective)[best].max())
    picks = []
    for step in reversed(steps):
        picks.append(int(step.picks[best]))
        best = int(step.parents[best])
    return Found(tuple(reversed(picks)), value)


def _last_uses(problem: Problem) -> list[int]:
    """The last task that reads each task's output; its own index where none does."""
    last = list(range(len(problem.tasks)))
    for index, options in enumerate(problem.tasks):
        for edge in options.edges:
            last[edge.maker] = index
    return last


def _values(states: _States, objective: Objective) -> Array:
    """The objective if the one or the other processor were the last, shape (states, 2)."""
    values: Array = objective.span * states.clocks + states.toll[:, None]
    return values


def _extend(
    states: _States,
    index: int,
    options: Options,
    problem: Problem,
    objective: Objective,
    last_use: Sequence[int],
    own: tuple[Array, bool] | None,
    width: int,
) -> tuple[_States, _Step]:
    """All placements of task `index` after all `states`, pruned."""
    clocks, busy = _run(states, options, objective)
    enqueue_us = objective.span * problem.enqueue_us * options.on_gpu
    work = objective.cpu * busy[:, :, 0] + objective.gpu * busy[:, :, 1]
    toll = states.toll[:, None] + work + enqueue_us
    values = objective.span * clocks + toll[:, :, None]
    label = np.broadcast_to(-1, toll.shape)
    if own is not None:
        label = np.broadcast_to(own[0], toll.shape)
        if not own[1]:
            values[(label != states.label[:, None]) & (label >= 0)] = np.inf
            label = np.where(label < 0, states.label[:, None], label)
    keep = [column for task, column in states.live.items() if last_use[task] > index]
    kept = _prune(values, states.picks[:, keep], last_use[index] > index, label, width)
    parents, picks = np.divmod(kept, len(options.cpu_us))
    live = {task: n for n, task in enumerate(t for t in states.live if last_use[t] > index)}
    live_picks, ends = states.picks[parents][:, keep], states.ends[parents][:, keep]
    after = clocks[parents, picks]
    if last_use[index] > index:
        live[index] = len(live)
        live_picks = np.concatenate([live_picks, picks[:, None]], axis=1)
        ends = np.concatenate([ends, after[:, None]], axis=1)
    extended = _States(after, toll[parents, picks], live, live_picks, ends, label[parents, picks])
    return extended, _Step(parents, picks)


def _run(states: _States, options: Options, objective: Objective) -> tuple[Array, Array]:
    """Clocks after the task and time that it kept either processor busy, (states, options, 2)."""
    shape = (len(states.toll), len(options.cpu_us))
    cpu_us, gpu_us = (np.broadcast_to(us, shape) for us in (options.cpu_us, options.gpu_us))
    cpu_ready, gpu_ready = np.zeros(shape), np.zeros(shape)
    cpu_waits, gpu_waits = np.zeros(shape, bool), np.zeros(shape, bool)
    for edge in options.edges:
        column = states.live[edge.maker]
        made, ends = states.picks[:, column], states.ends[:, column]
        cpu_us, gpu_us = cpu_us + edge.cpu_us[made], gpu_us + edge.gpu_us[made]
        waits = edge.cpu_waits[made]
        cpu_waits |= waits
        cpu_ready = np.maximum(cpu_ready, np.where(waits, ends[:, None, 1], 0.0))
        waits = edge.gpu_waits[made]
        gpu_waits |= waits
        gpu_ready = np.maximum(gpu_ready, np.where(waits, ends[:, None, 0], 0.0))
    cpu_us = cpu_us + options.sync_us * cpu_waits
    gpu_us = gpu_us + options.sync_us * gpu_waits
    busy = np.stack([cpu_us * options.on_cpu, gpu_us * options.on_gpu], axis=2)
    begin = np.broadcast_to(states.clocks[:, None, :], busy.shape)
    if objective.waits:
        begin = np.maximum(begin, np.stack([cpu_ready, gpu_ready], axis=2))
    on = np.stack([options.on_cpu, options.on_gpu], axis=1)
    clocks = np.where(on[None], begin + busy, states.clocks[:, None, :])
    return clocks, busy


def _prune(values: Array, live: Array, lives: bool, label: Array, width: int) -> Array:
    """Flat indices (state, placement) of the states to keep."""
    n_states, n_options = values.shape[:2]
    flat = values.reshape(-1, 2)
    key = np.repeat(_hash(live), n_options)
    if lives:
        key = key + np.tile(_hash(np.arange(n_options)[:, None] + 1), n_states) * np.int64(31)
    key = key + label.reshape(-1) * np.int64(1_000_003)
    valid = np.flatnonzero(np.isfinite(flat[:, 0]))
    if len(valid) == 0:
        raise InternalError("no placements have agreeing labels")
    kept = valid[_undominated(key[valid], flat[valid])]
    if len(kept) <= width:
        return np.asarray(kept)
    late, work = flat[kept].max(axis=1), flat[kept].sum(axis=1)
    first = np.argsort(late, kind="stable")[: width // 2]
    rest = np.setdiff1d(np.argsort(work, kind="stable")[:width], first, assume_unique=True)
    rest = rest[np.argsort(work[rest], kind="stable")][: width - len(first)]
    return np.asarray(kept[np.concatenate([first, rest])])


def _hash(rows: Array) -> Array:
    """One number a row; equal rows have equal numbers."""
    weights = np.random.default_rng(0).integers(1, 1 << 62, rows.shape[1])
    hashed: Array = ((rows + 1) * weights).sum(axis=1)
    return hashed


def _undominated(key: Array, values: Array) -> Array:
    """Rows for which no other of the same key is at most as large in both values."""
    order = np.lexsort((values[:, 1], values[:, 0], key))
    group = np.cumsum(np.diff(key[order], prepend=key[order[:1]]) != 0)
    # Groups lie apart, so that one running minimum serves them all.
    second = values[order, 1] - group * (np.ptp(values[:, 1]) + 1.0)
    before = np.minimum.accumulate(second)
    ahead = np.concatenate([[True], second[1:] < before[:-1]])
    return np.asarray(order[ahead])
