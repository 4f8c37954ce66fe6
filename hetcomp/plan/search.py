"""Search over the task order: a dynamic programme with two clocks, bounded to a beam.

A state stands for placements of the first tasks. All that the rest of the network can see of them
are the clocks of both processors, and for every tensor still to be read who made it and when. Of
two states that agree on the makers' placements the one with neither clock later, nor anything made
later that the other processor would have to wait for, dominates. On a chain this is the exact
dynamic programme over the last placement, with all that is not dominated kept. On other graphs it
is an approximation where there are more such states than `width`: when tensors were made is not
compared then (clocks bound those times), and of what is still too much half are kept for the least
time so far, half for the least work, which have branches to run side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetcomp.plan.objective import LATENCY, Objective
from hetcomp.plan.problem import Options, Problem

__all__ = ["Found", "search"]

_WORK = 1_000_000
"""Placements tried in all: what takes about half a second."""
_LEAST_WIDTH = 128
_RIVALS = 8
"""States that a state is compared with in full before it is kept."""

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
    unit
        Placement of the unit that the next task may continue, shape (states,).
    """

    clocks: Array
    toll: Array
    live: dict[int, int]
    picks: Array
    ends: Array
    unit: Array


@dataclass(frozen=True)
class _Step:
    """Where the states after a task come from: the state before, and the task's placement."""

    parents: Array
    picks: Array


def search(
    problem: Problem,
    objective: Objective = LATENCY,
    *,
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
    starts
        Where several tasks are to be placed alike: whether each begins a unit, within which all
        take the placement at the same position.
    width
        States to keep; None: as many as take about half a second.
    """
    beam = _Beam(problem, objective, starts, width)
    states, steps = beam.first(), []
    for index in range(len(problem.tasks)):
        states, step = beam.extend(states, index)
        steps.append(step)
    values = beam.values(states.clocks, states.toll).max(axis=1)
    best = int(np.argmin(values))
    value = float(values[best])
    picks = []
    for step in reversed(steps):
        picks.append(int(step.picks[best]))
        best = int(step.parents[best])
    return Found(tuple(reversed(picks)), value)


class _Beam:
    """Extends states task by task."""

    def __init__(
        self,
        problem: Problem,
        objective: Objective,
        starts: Sequence[bool] | None,
        width: int | None,
    ) -> None:
        placements = sum(len(options.cpu_us) for options in problem.tasks)
        self._problem, self._objective = problem, objective
        self._width = width or max(_LEAST_WIDTH, _WORK // max(1, placements))
        self._starts = [True] * len(problem.tasks) if starts is None else list(starts)
        self._last_use = _last_uses(problem)

    def first(self) -> _States:
        """Nothing placed."""
        clocks = np.array([[0.0, self._problem.lag_us]])
        none = np.zeros((1, 0), np.int64)
        return _States(clocks, np.zeros(1), {}, none, np.zeros((1, 0, 2)), np.zeros(1, np.int64))

    def values(self, clocks: Array, toll: Array) -> Array:
        """The objective if the one or the other processor were the last, shape (..., 2)."""
        values: Array = self._objective.span * clocks + toll[..., None]
        return values

    def extend(self, states: _States, index: int) -> tuple[_States, _Step]:
        """All placements of task `index` after all `states`, pruned."""
        options = self._problem.tasks[index]
        clocks, toll = self._run(states, options)
        values = self.values(clocks, toll)
        if not self._starts[index]:
            values[np.arange(len(options.cpu_us)) != states.unit[:, None]] = np.inf
        read_on = self._last_use[index] > index
        unit_goes_on = not all(self._starts[index + 1 : index + 2])
        keep = [column for task, column in states.live.items() if self._last_use[task] > index]
        made = self._made(states.ends[:, keep], clocks, toll)
        kept = _prune(values, made, states.picks[:, keep], read_on or unit_goes_on, self._width)
        parents, picks = np.divmod(kept, len(options.cpu_us))
        still_read = [task for task in states.live if self._last_use[task] > index]
        live_picks, ends = states.picks[parents][:, keep], states.ends[parents][:, keep]
        after = clocks[parents, picks]
        if read_on:
            still_read.append(index)
            live_picks = np.concatenate([live_picks, picks[:, None]], axis=1)
            ends = np.concatenate([ends, after[:, None]], axis=1)
        live = {task: column for column, task in enumerate(still_read)}
        extended = _States(after, toll[parents, picks], live, live_picks, ends, picks)
        return extended, _Step(parents, picks)

    def _made(self, ends: Array, clocks: Array, toll: Array) -> Array:
        """When the other processor finds there what is still read, shape (..., 2 * live)."""
        n_states, n_live = ends.shape[:2]
        shape = (n_states, clocks.shape[1], 2 * n_live)
        if not self._objective.waits:
            return np.zeros((*shape[:2], 0))
        seen = np.maximum(ends[:, None], clocks[:, :, None, ::-1])  # earlier makes no difference
        return self.values(seen.reshape(shape), toll)

    def _run(self, states: _States, options: Options) -> tuple[Array, Array]:
        """Clocks after the task, shape (states, options, 2), and toll."""
        busy, ready = _busy_and_ready(states, options)
        before = states.clocks[:, None, :]
        begin = np.maximum(before, ready) if self._objective.waits else before
        on = np.stack([options.on_cpu, options.on_gpu], axis=1)
        clocks = np.where(on, begin + busy, before)
        work = self._objective.cpu * busy[:, :, 0] + self._objective.gpu * busy[:, :, 1]
        enqueue = self._objective.span * self._problem.enqueue_us * options.on_gpu
        return clocks, states.toll[:, None] + work + enqueue


def _last_uses(problem: Problem) -> list[int]:
    """The last task that reads each task's output; its own index where none does."""
    last = list(range(len(problem.tasks)))
    for index, options in enumerate(problem.tasks):
        for edge in options.edges:
            last[edge.maker] = index
    return last


def _busy_and_ready(states: _States, options: Options) -> tuple[Array, Array]:
    """Time that the task keeps either processor busy, and when what it reads of the other one is
    there, each of shape (states, options, 2)."""
    shape = (len(states.toll), len(options.cpu_us))
    sides = []
    for side, on in enumerate((options.on_cpu, options.on_gpu)):
        busy = np.broadcast_to((options.cpu_us, options.gpu_us)[side], shape)
        ready, waits = np.zeros(shape), np.zeros(shape, bool)
        for edge in options.edges:
            column = states.live[edge.maker]
            made, other_end = states.picks[:, column], states.ends[:, column, 1 - side]
            busy = busy + (edge.cpu_us, edge.gpu_us)[side][made]
            pair_waits = (edge.cpu_waits, edge.gpu_waits)[side][made]
            waits |= pair_waits
            ready = np.maximum(ready, np.where(pair_waits, other_end[:, None], 0.0))
        sides.append((np.where(on, busy + options.sync_us * waits, 0.0), ready))
    busy, ready = (np.stack(arrays, axis=2) for arrays in zip(*sides, strict=True))
    return busy, ready


def _prune(values: Array, made: Array, live: Array, apart: bool, width: int) -> Array:
    """Flat indices (state, placement) of the states to keep; `apart` keeps placements apart."""
    n_states, n_options = values.shape[:2]
    flat = values.reshape(-1, 2)
    key = np.repeat(_hash(live), n_options)
    if apart:
        key = key + np.tile(_hash(np.arange(n_options)[:, None] + 1), n_states) * np.int64(31)
    valid = np.flatnonzero(np.isfinite(flat[:, 0]))
    by_clocks, by_all = _undominated(key[valid], flat[valid], made.reshape(len(flat), -1)[valid])
    if len(by_all) <= width:
        return np.asarray(valid[by_all])
    kept = valid[by_clocks]
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


def _undominated(key: Array, values: Array, made: Array) -> tuple[Array, Array]:
    """Rows for which no other of the same key is at most as large, in both values and in all.

    In all: in `made` too, as far as a few of the others show it.
    """
    order = np.lexsort((values[:, 1], values[:, 0], key))
    group = np.cumsum(np.diff(key[order], prepend=key[order[:1]]) != 0)
    # Groups lie apart, so that one running minimum serves them all.
    second = values[order, 1] - group * (np.ptp(values[:, 1]) + 1.0)
    before = np.minimum.accumulate(second)
    ahead = np.concatenate([[True], second[1:] < before[:-1]])
    by_clocks = order[ahead]
    if made.shape[1] == 0:
        return by_clocks, by_clocks
    rank = np.cumsum(ahead) - 1  # of the last of `by_clocks` that is not behind a row
    beaten = ahead.copy()
    for back in range(_RIVALS):
        left = np.flatnonzero(~beaten)
        rival = by_clocks[np.maximum(rank[left] - back, 0)]
        row = order[left]
        no_later = (values[rival] <= values[row]).all(1) & (made[rival] <= made[row]).all(1)
        beaten[left] = no_later & (key[rival] == key[row])
    return by_clocks, order[ahead | ~beaten]
