"""What a part of a task has to do on one processor: from the task graph to the cost models."""

from __future__ import annotations

from dataclasses import asdict

from hetcomp.cost.predictor import PredictedTimes, Predictor
from hetcomp.cost.work import KernelWork, Part
from hetcomp.plan.graph import Space, TaskGraph

__all__ = ["predicted_times", "whole_part", "work_of"]


def whole_part(graph: TaskGraph, task: int, processor: str) -> Part:
    """All tiles of task number `task` on `processor`."""
    rows, channels = graph.tasks[task].rows, graph.tasks[task].channels
    return Part(task, processor, 0, rows.extent, 0, channels.extent)


def work_of(graph: TaskGraph, part: Part) -> KernelWork:
    """One launch of `part`.

    `facts` are those of `hetcomp.cost.kernel_facts.KernelFacts`, the instructions
    (`hetcomp.cost.instruction_mix.InstructionMix`), and of the whole task `flops`,
    `weight_bytes`, `input_bytes`, `output_bytes`; `items`, `group_rows` and `group_channels` are
    the work-items and the tiles of a work-group. `model_weight_bytes` are the weights of the whole
    model: what passes through the caches before a task's own are read again.
    """
    task = graph.tasks[part.task]
    kernel = graph.kernels[task.kernel]
    facts: dict[str, float] = {
        **asdict(kernel.facts),
        **asdict(kernel.mix),
        "flops": task.flops,
        "weight_bytes": task.weight_bytes,
        "input_bytes": _arena_bytes(graph, task.inputs),
        "output_bytes": _arena_bytes(graph, task.outputs),
        "model_weight_bytes": graph.constants_bytes,
        "items": kernel.items[0] * kernel.items[1],
        "group_rows": kernel.tiles[0],
        "group_channels": kernel.tiles[1],
    }
    return KernelWork(
        family=task.kind,
        variant=kernel.variant,
        processor=part.processor,
        rows=part.row_end - part.row_begin,
        channels=part.channel_end - part.channel_begin,
        all_rows=task.rows.extent,
        all_channels=task.channels.extent,
        facts=facts,
    )


def predicted_times(graph: TaskGraph, predictor: Predictor) -> PredictedTimes:
    """What `predictor` says of the parts of `graph`'s tasks."""
    cpu: list[KernelWork | None] = []
    gpu: list[KernelWork | None] = []
    for index, task in enumerate(graph.tasks):
        able = graph.kernels[task.kernel].opencl
        cpu.append(work_of(graph, whole_part(graph, index, "cpu")))
        gpu.append(work_of(graph, whole_part(graph, index, "gpu")) if able else None)
    return PredictedTimes(predictor, cpu, gpu)


def _arena_bytes(graph: TaskGraph, tensors: tuple[int, ...]) -> int:
    found = (graph.tensors[index] for index in tensors)
    return sum(t.size_bytes for t in found if t.space is Space.ARENA)
