"""The pace of a pipeline: whole inferences on either processor, each of which takes the next one.

That is what `load(pipeline="on")` runs, and `"auto"` for models compiled for throughput.
"""

from __future__ import annotations

from hetcomp.plan.contention import Contention
from hetcomp.plan.simulate import Simulation, Timeline

__all__ = ["in_turns_us", "pipeline_us"]


def in_turns_us(cpu_us: float, gpu_us: float) -> float:
    """From one result to the next where an inference takes either processor so long."""
    return 1.0 / (1.0 / cpu_us + 1.0 / gpu_us)


def pipeline_us(cpu: Simulation, gpu: Simulation, contention: Contention) -> float:
    """From one result to the next, given an inference on each processor with the other one idle."""
    return in_turns_us(
        cpu.makespan_us + _added_us(cpu.cpu, contention.cpu),
        gpu.makespan_us + _added_us(gpu.gpu, contention.gpu),
    )


def _added_us(lane: Timeline, factors: tuple[float, ...]) -> float:
    """By how much a processor's steps are slower while the other one works."""
    return sum(
        (factors[task] - 1.0) * (span.end_us - span.start_us)
        for task, span in zip(lane.tasks, lane.spans, strict=True)
    )
