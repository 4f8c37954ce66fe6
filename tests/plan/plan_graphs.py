"""Small task graphs built by hand, for the planner's tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hetcomp.plan.graph import Grid, Kernel, Space, Task, TaskGraph, Tensor


@dataclass
class GraphBuilder:
    """Adds tensors and tasks one by one."""

    tensors: list[Tensor] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)

    def tensor(
        self,
        size_bytes: int = 4096,
        space: Space = Space.ARENA,
        alias_of: int | None = None,
        offset_bytes: int = 0,
    ) -> int:
        name = f"t{len(self.tensors)}"
        shape = (max(1, size_bytes // 4),)
        self.tensors.append(
            Tensor(name, shape, "float32", size_bytes, space, alias_of, offset_bytes)
        )
        return len(self.tensors) - 1

    def task(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        rows: Grid | None = None,
        channels: Grid | None = None,
        opencl: bool = True,
        axis: str = "rows",
        kind: str = "conv2d",
        heads: int = 0,
        npu: bool = False,
    ) -> Task:
        number = len(self.tasks)
        why = "" if opencl else "gather is not generated"
        buffers = len(inputs) + len(outputs)
        self.kernels.append(Kernel(f"k{number}", buffers, opencl, why, f"key{number}"))
        task = Task(
            name=f"task{number}",
            kind=kind,
            kernel=number,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            rows=rows or Grid(8),
            channels=channels or Grid(4),
            preferred_axis=axis,
            axis_reason="",
            heads=heads,
            npu=npu,
            why_no_npu="" if npu else "it sums floats",
        )
        self.tasks.append(task)
        return task

    def graph(self, inputs: Sequence[int], outputs: Sequence[int]) -> TaskGraph:
        return TaskGraph(
            name="hand-made",
            tensors=tuple(self.tensors),
            kernels=tuple(self.kernels),
            tasks=tuple(self.tasks),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            constants_bytes=0,
        )


def chain(length: int, size_bytes: int = 4096, **fields: object) -> TaskGraph:
    """Tasks that follow each other, each with one input and one output."""
    builder = GraphBuilder()
    first = last = builder.tensor(size_bytes)
    for _ in range(length):
        out = builder.tensor(size_bytes)
        builder.task([last], [out], **fields)  # type: ignore[arg-type]
        last = out
    return builder.graph([first], [last])


def two_branches(**fields: object) -> TaskGraph:
    """Two chains of three tasks from one input to one join."""
    builder = GraphBuilder()
    source = builder.tensor()
    ends = []
    for _ in range(2):
        last = source
        for _ in range(3):
            out = builder.tensor()
            builder.task([last], [out], **fields)  # type: ignore[arg-type]
            last = out
        ends.append(last)
    out = builder.tensor()
    builder.task(ends, [out], **fields)  # type: ignore[arg-type]
    return builder.graph([source], [out])
