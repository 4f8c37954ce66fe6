"""The cost of a cache line that the other processor has written or read.

A producer on one processor and a consumer on the other take turns over a block, once with the
block between them and once with blocks of their own; what the shared block adds, divided by its
lines, is the cost of taking over a line: to read what the other one wrote, and to write what the
other one has read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import median

from hetcomp.cost.costs import LINE_BYTES, SyncCost
from hetcomp.cost.samples import undisturbed
from hetcomp.plan.table import StepTable
from hetcomp.profile.probes import FIRST, SECOND, Room
from hetcomp.profile.tables import table_of
from hetcomp.profile.timing import Bench, cpu_us, gpu_us

__all__ = ["Lines", "line_costs", "measure_lines"]

_SIZES = (32 << 10, 64 << 10, 128 << 10, 256 << 10)
"""Small enough for source, block and target together in a second-level cache."""
_STEPS = 12
_REPS = 20


@dataclass(frozen=True)
class Lines:
    """Nanoseconds a line, by the processor that pays.

    0 where noise covered the difference, or a GPU's steps were always done before the CPU looked.

    Attributes
    ----------
    cpu_read_ns, gpu_read_ns
        To read what the other one wrote.
    cpu_write_ns, gpu_write_ns
        To write what the other one has read.
    """

    cpu_read_ns: float
    gpu_read_ns: float
    cpu_write_ns: float
    gpu_write_ns: float


@dataclass(frozen=True)
class _Times:
    """Typical time of a CPU and of a GPU step in microseconds; NaN: never seen."""

    cpu_us: float
    gpu_us: float


def measure_lines(bench: Bench, room: Room) -> Lines:
    """Medians over several sizes of the block."""
    gpu_first = [_added(bench, room, size, cpu_first=False) for size in _SIZES]
    cpu_first = [_added(bench, room, size, cpu_first=True) for size in _SIZES]
    return Lines(
        cpu_read_ns=_typical_ns(times.cpu_us for times in gpu_first),
        gpu_read_ns=_typical_ns(times.gpu_us for times in cpu_first),
        cpu_write_ns=_typical_ns(times.cpu_us for times in cpu_first),
        gpu_write_ns=_typical_ns(times.gpu_us for times in gpu_first),
    )


def _typical_ns(added_us: Iterable[float]) -> float:
    """Of the sizes at which the processor was seen."""
    seen = [us for us in added_us if not math.isnan(us)]
    return max(0.0, median(seen)) * 1000.0 if seen else 0.0


def line_costs(lines: Mapping[str, float]) -> dict[str, float]:
    """What taking over costs in shared memory, by the names of `SyncCost`.

    A line costs its reader, and then its writer, who must have it back. One that seemed to cost
    nothing was not measured, since noise covered the difference: the usual cost stands in.
    """
    to_cpu_ns = lines["cpu_read_ns"] + lines["gpu_write_ns"]
    to_gpu_ns = lines["gpu_read_ns"] + lines["cpu_write_ns"]
    return {
        "to_cpu_line_ns": to_cpu_ns or SyncCost().to_cpu_line_ns,
        "to_gpu_line_ns": to_gpu_ns or SyncCost().to_gpu_line_ns,
    }


def _added(bench: Bench, room: Room, size_bytes: int, *, cpu_first: bool) -> _Times:
    """What a shared block adds to either processor's step, per line."""
    shared = _times(bench, _table(room, size_bytes, cpu_first, shared=True))
    apart = _times(bench, _table(room, size_bytes, cpu_first, shared=False))
    lines = size_bytes / LINE_BYTES
    return _Times((shared.cpu_us - apart.cpu_us) / lines, (shared.gpu_us - apart.gpu_us) / lines)


def _table(room: Room, size_bytes: int, cpu_first: bool, *, shared: bool) -> StepTable:
    """FIRST makes block 1 from block 0; SECOND makes block 3 from block 1, or from block 2."""
    layout = room.layout({FIRST: (0, 1), SECOND: (1 if shared else 2, 3)})
    first, second = room.block(FIRST, size_bytes), room.block(SECOND, size_bytes)
    producer = [replace(first, wait=k) for k in range(_STEPS)]
    consumer = [replace(second, wait=k + 1) for k in range(_STEPS)]
    if cpu_first:
        return table_of(layout, cpu=producer, gpu=consumer)
    return table_of(layout, cpu=consumer, gpu=producer)


def _times(bench: Bench, table: StepTable) -> _Times:
    runs = bench.runs(table, _REPS)
    steps = range(2, _STEPS)
    cpu = [time_us for step in steps for time_us in cpu_us(runs, step)]
    gpu = [time_us for step in steps for time_us in gpu_us(table, runs, step)]
    return _Times(undisturbed(cpu), undisturbed(gpu) if gpu else math.nan)
