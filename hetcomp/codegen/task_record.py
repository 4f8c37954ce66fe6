"""The record of a task in the task graph, from its schedule and its tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hetcomp.plan.graph import Grid, RowSpan, Space, Task, Tensor
from hetcomp.schedules.footprint import ElementSpan
from hetcomp.schedules.scheduled import Scheduled, TileGrid

__all__ = ["task_record"]


def task_record(
    source: tuple[str, ...],
    scheduled: Scheduled,
    kernel: int,
    touched: Sequence[ElementSpan | None],
    inputs: Sequence[int],
    outputs: Sequence[int],
    tensors: Sequence[Tensor],
) -> Task:
    """A task without a name yet. `tensors` are the graph's; tiles read and write `touched`."""
    weights = [t for t in inputs if tensors[t].space is Space.CONSTANT]
    moved = [t for t in (*inputs, *outputs) if tensors[t].space is Space.ARENA]
    return Task(
        name="",
        kind=scheduled.kind,
        kernel=kernel,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        rows=_grid(scheduled.rows),
        channels=_grid(scheduled.channels),
        preferred_axis=scheduled.preferred_axis,
        axis_reason=scheduled.axis_reason,
        flops=scheduled.flops,
        weight_bytes=sum(tensors[t].size_bytes for t in weights),
        activation_bytes=sum(tensors[t].size_bytes for t in moved),
        heads=scheduled.heads,
        source=source,
        in_place=tuple(sorted(scheduled.in_place)),
        row_spans=tuple(
            _row_span(span, tensors[tensor])
            for span, tensor in zip(touched, (*inputs, *outputs), strict=True)
        ),
    )


def _row_span(span: ElementSpan | None, tensor: Tensor) -> RowSpan | None:
    """In bytes; None for a constant, which every tile may read."""
    if span is None or tensor.space is Space.CONSTANT:
        return None
    item = tensor.size_bytes // math.prod(tensor.shape)
    return RowSpan(item * span.begin, item * span.step, item * span.size)


def _grid(grid: TileGrid) -> Grid:
    return Grid(grid.extent, grid.ragged)
