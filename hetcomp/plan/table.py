"""The step table: what each processor does, in order. The runtime only walks it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["NpuStep", "Step", "StepTable"]


@dataclass(frozen=True)
class Step:
    """One kernel launch on one processor over a tile range.

    Attributes
    ----------
    task
        Index into `TaskGraph.tasks`.
    row_begin, row_end, channel_begin, channel_end
        Half-open tile ranges.
    wait
        Number of steps of the *other* processor that must be complete before this one starts;
        0 means none. Each processor runs its own steps in order.
    signal
        Whether the other processor waits for this step, so that it must publish its completion.
        The last GPU step always signals.
    ticket
        0: the step runs its whole range. Otherwise both processors have a step of the task over the
        same range, and each takes so many tiles at a time, the CPU from the beginning, the GPU from
        the end: of rows where it is positive, of channels where it is negative.
    leave, cut
        With tickets: how many of the last ones this processor leaves to the other one, and the tile
        at which they are expected to meet.
    predicted_us
        Predicted time with the other processor's steps beside it; 0 where not known.
    npu
        0: the step runs a kernel. k: it hands step k of the NPU over, -k: it waits until that has
        ended and takes its outputs; the first step is 1. Of the CPU only, whose step stands for
        the NPU's where the GPU waits: `task` is the region's first one.
    """

    task: int
    row_begin: int
    row_end: int
    channel_begin: int
    channel_end: int
    wait: int = 0
    signal: bool = True
    ticket: int = 0
    leave: int = 0
    cut: int = 0
    predicted_us: float = 0.0
    npu: int = 0


@dataclass(frozen=True)
class NpuStep:
    """A region that the NPU runs as one.

    Attributes
    ----------
    tasks
        Indices into `TaskGraph.tasks`, ascending; others may be between them. Where the NPU fails,
        the CPU runs them instead.
    inputs, outputs
        Tensors that it reads from other tasks, and those that others read of it.
    row_begin, row_end, channel_begin, channel_end
        Of its only task, the tiles that it computes, beside the CPU, which computes the others. All
        0: all of every task.
    """

    tasks: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    row_begin: int = 0
    row_end: int = 0
    channel_begin: int = 0
    channel_end: int = 0

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a task that the CPU shares."""
        return self.row_end > 0


@dataclass(frozen=True)
class StepTable:
    """Steps of both processors and the memory map they assume.

    Attributes
    ----------
    name
        Name of the plan it was made from.
    cpu, gpu
        Steps in the order in which each processor runs them.
    offsets
        For each tensor of the graph its byte offset in the arena (a multiple of 128), for
        constants their offset in the constants' block; aliases carry the offset of their root.
    arena_bytes
        Size of the arena.
    stands_in
        Whether the runtime may change over to it by itself when a processor becomes slower.
    npu
        The NPU's steps, in the order in which the CPU hands them over.
    """

    name: str
    cpu: tuple[Step, ...]
    gpu: tuple[Step, ...]
    offsets: tuple[int, ...]
    arena_bytes: int
    stands_in: bool = True
    npu: tuple[NpuStep, ...] = ()

    @property
    def npu_tasks(self) -> tuple[int, ...]:
        """All tasks of regions."""
        return tuple(task for step in self.npu for task in step.tasks)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> StepTable:
        """Inverse of `to_json`."""
        return StepTable(
            name=data["name"],
            cpu=tuple(Step(**item) for item in data["cpu"]),
            gpu=tuple(Step(**item) for item in data["gpu"]),
            offsets=tuple(data["offsets"]),
            arena_bytes=data["arena_bytes"],
            stands_in=data["stands_in"],
            npu=tuple(_npu_step(item) for item in data.get("npu", ())),
        )


def _npu_step(item: dict[str, Any]) -> NpuStep:
    lists = {key: tuple(item[key]) for key in ("tasks", "inputs", "outputs")}
    return NpuStep(**{**item, **lists})
