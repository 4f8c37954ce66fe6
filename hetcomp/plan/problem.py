"""A planning problem as numbers: what every placement of every task costs, alone and by its maker.

This is the model that all planners share, the exact one included. Each processor runs its parts in
the order of the tasks. A part starts when its processor is free and, where it reads what the other
one made, when that is done; it takes its own time, that of the lines it takes over, and a
synchronisation where it waits. What contention adds is known of the two parts of a split alone,
which run at the same time: whatever else runs side by side goes undisturbed here.

What is on the NPU is taken to hold the CPU, as it does in a chain: the CPU hands it over and takes
it back. That branches may run beside it is left to `hetcomp.plan.beside`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetcomp.cost.costs import Spread, SyncCost
from hetcomp.cost.npu_cost import NpuCost
from hetcomp.cost.times import Times, times_of
from hetcomp.plan.candidates import Choice, parts_of
from hetcomp.plan.contention import Contention
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.npu_way import NpuWay
from hetcomp.plan.sharing import Halves, shared
from hetcomp.plan.transfer import Input, Share, Shares, Transfers, output_rows

__all__ = ["Edge", "Options", "Problem", "make_problem"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Edge:
    """What a task pays for an input, by the maker's placement and its own.

    Attributes
    ----------
    maker
        The task that wrote it.
    cpu_us, gpu_us
        Time to take over what the other processor wrote, shape (maker's, own).
    cpu_waits, gpu_waits
        Whether a part reads what the other processor wrote, same shape.
    """

    maker: int
    cpu_us: Array
    gpu_us: Array
    cpu_waits: Array
    gpu_waits: Array


@dataclass(frozen=True)
class Options:
    """The placements of one task; arrays of shape (placements,).

    Attributes
    ----------
    cpu_us, gpu_us
        Time of either part with its inputs at hand; 0 where there is none.
    on_cpu, on_gpu
        Whether there is one.
    sync_us
        Added to a part that waits.
    sharing_us
        What of the parts' times is the price of sharing, see `hetcomp.plan.sharing`.
    edges
        One an input that another task made.
    """

    cpu_us: Array
    gpu_us: Array
    on_cpu: Array
    on_gpu: Array
    sync_us: Array
    sharing_us: Array
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Problem:
    """A task graph for planners.

    Attributes
    ----------
    tasks
        In the order in which both processors run them.
    lag_us
        By how much the GPU starts later than the CPU.
    enqueue_us
        By how much each part of the GPU delays the start of both.
    """

    tasks: tuple[Options, ...]
    lag_us: float
    enqueue_us: float


def make_problem(
    graph: TaskGraph,
    choices: Sequence[Sequence[Choice]],
    times: Times,
    sync: SyncCost,
    gpu_steps: int | None = None,
    contention: Contention | None = None,
    spreads: Sequence[Spread] | None = None,
    npu: NpuCost | None = None,
) -> Problem:
    """Price all `choices`, asking `times` once.

    Parameters
    ----------
    graph
        The tasks.
    choices
        Placements of each.
    times
        Times of parts.
    sync
        What working together costs.
    gpu_steps
        How many steps the GPU will have, as far as known: enqueueing many hides its waking up.
    contention
        How much the parts of a split slow each other; None: not at all.
    spreads
        How sure the times of each task are, which is what tickets are weighed by; None: nobody
        waits for a part that is late. Needed where tickets are among the placements.
    npu
        Needed where the NPU is among the placements.
    """
    slow = contention or Contention.none(len(graph.tasks))
    own_us = _own_times(graph, choices, times)
    shares = [Shares([choice.share for choice in options]) for options in choices]
    transfers = Transfers(graph)
    way = NpuWay(graph, transfers, choices, npu)
    tasks = []
    for index, (cpu_us, gpu_us) in enumerate(own_us):
        used = shares[index]
        border_us = sync.border_us(output_rows(graph, graph.tasks[index]))
        cpu_us = cpu_us + np.where(used.channels, border_us, 0.0)
        gpu_us = gpu_us + np.where(used.channels, border_us, 0.0)
        gpu_us = gpu_us + np.where(used.cpu < 1.0, sync.gpu_launch_us, 0.0)
        split = used.rows | used.channels
        cpu_us = cpu_us * np.where(split, slow.cpu[index], 1.0)
        gpu_us = gpu_us * np.where(split, slow.gpu[index], 1.0)
        sharing_us = np.zeros(len(cpu_us))
        if spreads is not None:
            work = Halves(cpu_us, gpu_us, sharing_us)
            halves = shared(graph.tasks[index], choices[index], work, sync, spreads[index])
            cpu_us, gpu_us, sharing_us = halves.cpu_us, halves.gpu_us, halves.sharing_us
        cpu_us = way.held_us(index, cpu_us)
        edges = []
        for item in transfers.inputs[index]:
            if item.maker is None:
                to_gpu = item.crossing(_HOST, used)[1]
                gpu_us = gpu_us + sync.to_gpu_us(to_gpu[0])
            else:
                npu_us = way.between_us(item.maker, index, item.size_bytes)
                edge = _edge(item, item.maker, shares[item.maker], used, sync)
                edges.append(
                    replace(edge, cpu_us=edge.cpu_us + npu_us, gpu_us=edge.gpu_us + npu_us)
                )
        sync_us = np.where(split, sync.split_us, sync.handover_us)
        on_cpu, on_gpu = used.cpu > 0.0, used.cpu < 1.0
        tasks.append(Options(cpu_us, gpu_us, on_cpu, on_gpu, sync_us, sharing_us, tuple(edges)))
    steps = len(graph.tasks) if gpu_steps is None else gpu_steps
    enqueue_us = sync.enqueue_us if sync.ahead else 0.0
    lag_us = max(0.0, sync.wake_us - enqueue_us * max(0, steps - 1))
    return Problem(tuple(tasks), lag_us, enqueue_us)


_HOST = Shares([Share(1.0)])


def _own_times(
    graph: TaskGraph, choices: Sequence[Sequence[Choice]], times: Times
) -> list[tuple[Array, Array]]:
    parts = [
        parts_of(index, graph.tasks[index], choice.decision)
        for index, options in enumerate(choices)
        for choice in options
    ]
    known = times_of(times, (part for pair in parts for part in pair if part is not None))
    cpu, gpu = (
        np.array([known[part] if (part := pair[side]) else 0.0 for pair in parts])
        for side in (0, 1)
    )
    ends = np.cumsum([len(options) for options in choices])[:-1]
    return list(zip(np.split(cpu, ends), np.split(gpu, ends), strict=True))


def _edge(item: Input, maker: int, made: Shares, used: Shares, sync: SyncCost) -> Edge:
    to_cpu, to_gpu = item.crossing(made, used)
    cpu_waits = (made.cpu < 1.0)[:, None] & (used.cpu > 0.0)[None, :]
    gpu_waits = (made.cpu > 0.0)[:, None] & (used.cpu < 1.0)[None, :]
    if item.by_rows:
        known = (made.slack == 0.0)[:, None] & (used.slack == 0.0)[None, :]
        rows = made.rows[:, None] & used.rows[None, :] & known
        cpu_waits &= ~rows | (to_cpu > 0.0)
        gpu_waits &= ~rows | (to_gpu > 0.0)
    return Edge(maker, sync.to_cpu_us(to_cpu), sync.to_gpu_us(to_gpu), cpu_waits, gpu_waits)
