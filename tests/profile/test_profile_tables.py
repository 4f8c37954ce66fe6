"""Where a synthetic model's tensors lie."""

from __future__ import annotations

from hetcomp.cost.work import Part
from hetcomp.plan.graph import Grid, Kernel, Space, Task, TaskGraph, Tensor
from hetcomp.profile.tables import in_turn, layout_of


def tensor(name: str, size_bytes: int, alias_of: int | None = None) -> Tensor:
    return Tensor(name, (size_bytes // 4,), "float32", size_bytes, Space.ARENA, alias_of)


def task(name: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Task:
    return Task(name, "elementwise", 0, inputs, outputs, Grid(4), Grid(1), "rows", "")


def test_inputs_share_a_place_and_outputs_another() -> None:
    tensors = (
        tensor("touch in", 640), tensor("touch out", 640),
        tensor("a", 256), tensor("b", 100), tensor("sum", 256),
        tensor("view", 256, alias_of=4), tensor("unused", 4096),
    )  # fmt: skip
    tasks = (task("touch", (0,), (1,)), task("add", (2, 3), (4,)))
    kernels = (Kernel("k0", 2, True, "", "key"),)
    layout = layout_of(TaskGraph("g", tensors, kernels, tasks, (0, 2, 3, 6), (4,), 0))
    assert layout.offsets == (0, 0, 0, 256, 640, 640, 0)
    assert layout.input_bytes == (640, 384)
    assert layout.arena_bytes == 4096


def test_tasks_take_turns() -> None:
    parts = [
        [Part(task, "cpu", row, row + 1, 0, 1) for row in range(n)] for task, n in ((1, 3), (2, 1))
    ]
    assert [(p.task, p.row_begin) for p in in_turn(parts)] == [(1, 0), (2, 0), (1, 1), (1, 2)]
