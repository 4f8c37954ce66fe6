"""Why a task was placed as it was, in words with figures."""

from __future__ import annotations

from collections.abc import Sequence

from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.pricing import Price, Pricer
from hetcomp.plan.transfer import Share

__all__ = ["reason_for"]

_WORTH_SAYING_US = 0.5


def reason_for(
    graph: TaskGraph,
    pricer: Pricer,
    index: int,
    share: Share,
    price: Price,
    splits: Sequence[Share],
) -> str:
    """Say why task `index` got `share`.

    Parameters
    ----------
    graph, pricer, index
        The task and what it costs.
    share, price
        What was chosen.
    splits
        The splits that were considered.
    """
    if share.split:
        return _split_reason(graph, pricer, index, share, price)
    task, cost = graph.tasks[index], pricer.costs.tasks[index]
    kernel = graph.kernels[task.kernel]
    place = "cpu" if share.cpu == 1.0 else "gpu"
    if not kernel.opencl:
        return f"cpu: no OpenCL kernel: {kernel.why_no_opencl}"
    if cost.gpu_us is None:
        return f"cpu: {_us(cost.cpu_us)}, no time on the gpu"
    times = f"cpu {_us(cost.cpu_us)}, gpu {_us(cost.gpu_us)}"
    if not splits:
        tiles = f"rows {task.rows.extent}, channels {task.channels.extent}"
        return f"{place}: {times}, nothing to cut ({tiles} tiles)"
    own_us = cost.cpu_us if share.cpu == 1.0 else cost.gpu_us
    best = min((pricer.alone(index, option) for option in splits), key=lambda p: p.total_us)
    if own_us <= 2.0 * best.sync_us + pricer.sync.gpu_launch_us:
        return f"{place}: {_us(own_us)}, too small to share (sync {_us(best.sync_us)})"
    split = f"best split {_us(best.work_us)} + {_us(best.sync_us)} sync"
    if best.total_us >= own_us:
        return f"{place}: {times}, {split} is not faster"
    return f"{place}: {times}, {split} is faster alone but moves data that its neighbours hold"


def _split_reason(graph: TaskGraph, pricer: Pricer, index: int, share: Share, price: Price) -> str:
    cost = pricer.costs.tasks[index]
    axis = share.axis.value if share.axis else ""
    text = (
        f"split {round(100 * share.cpu)}% {axis}: cpu {_us(cost.cpu_us)}, "
        f"gpu {_us(cost.gpu_us or 0.0)}, predicted {_us(price.work_us)} + "
        f"{_us(price.sync_us)} sync"
    )
    if price.transfer_us > _WORTH_SAYING_US:
        text += f", {_us(price.transfer_us)} of it transfer"
    why = graph.tasks[index].axis_reason
    return f"{text}; {why}" if why and axis == graph.tasks[index].preferred_axis else text


def _us(time_us: float) -> str:
    return f"{time_us:.0f} µs" if time_us >= 10.0 else f"{time_us:.1f} µs"
