"""What one launch of a generated kernel has to do: the source of every feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["KernelWork", "Part"]


@dataclass(frozen=True)
class Part:
    """A rectangle of a task's tile grid: half-open ranges, as a step of the step table has them.

    `task` is an index into `TaskGraph.tasks`, `processor` is `cpu` or `gpu`.
    """

    task: int
    processor: str
    row_begin: int
    row_end: int
    channel_begin: int
    channel_end: int

    @property
    def tiles(self) -> int:
        """Tiles of the part."""
        return (self.row_end - self.row_begin) * (self.channel_end - self.channel_begin)


@dataclass(frozen=True)
class KernelWork:
    """One launch of one kernel on one processor.

    Attributes
    ----------
    family
        Anchor of the task, see `hetcomp.plan.graph.Task.kind`.
    variant
        Algorithm within the family, see `hetcomp.plan.graph.Kernel.variant`.
    processor
        `cpu` or `gpu`.
    rows, channels
        Tiles of the launch in either direction.
    all_rows, all_channels
        Tiles of the whole task.
    facts
        Named numbers that the schedule knows: sizes of tile and window, length of the reduction,
        floating-point operations and bytes of the whole task, operations of the epilogue.
    """

    family: str
    variant: str
    processor: str
    rows: int
    channels: int
    all_rows: int
    all_channels: int
    facts: Mapping[str, float] = field(default_factory=dict)
