"""Why a task was placed as it was, in words with figures."""

from __future__ import annotations

from collections.abc import Sequence

from hetcomp.plan.candidates import Choice
from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Decision, Mode, Place
from hetcomp.plan.pricing import Price, alone
from hetcomp.plan.problem import Options

__all__ = ["reason_for", "why_no_npu"]

_WORTH_SAYING_US = 0.5


def reason_for(
    graph: TaskGraph,
    index: int,
    choices: Sequence[Choice],
    options: Options,
    pick: int,
    price: Price,
) -> str:
    """Say why task `index` was placed as `choices[pick]`.

    Parameters
    ----------
    graph, index
        The task.
    choices, options
        Its placements and what they cost.
    pick, price
        What was chosen, and its price among its neighbours.
    """
    task, chosen = graph.tasks[index], choices[pick]
    if chosen.share.split:
        reason = _split_reason(task, chosen, price)
        return "; ".join(filter(None, (reason, _mode_reason(choices, options, pick))))
    kernel, decision = graph.kernels[task.kernel], chosen.decision
    if decision.place is Place.NPU:
        return _npu_reason(decision, price)
    if decision.shared_with_npu:
        return _shared_reason(task, decision, price)
    place = decision.place.value
    cpu_us, gpu_us = decision.cpu_us or 0.0, decision.gpu_us
    if not kernel.opencl:
        return f"cpu: no OpenCL kernel: {kernel.why_no_opencl}"
    if gpu_us is None:
        return f"cpu: {_us(cpu_us)}, no time on the gpu"
    times = f"cpu {_us(cpu_us)}, gpu {_us(gpu_us)}"
    splits = [alone(options, i) for i, choice in enumerate(choices) if choice.share.split]
    if not splits:
        tiles = f"rows {task.rows.extent}, channels {task.channels.extent}"
        return f"{place}: {times}, nothing to cut ({tiles} tiles)"
    own_us = cpu_us if chosen.share.cpu == 1.0 else gpu_us
    best = min(splits, key=lambda split: split.total_us)
    if own_us <= 2.0 * best.sync_us:
        return f"{place}: {_us(own_us)}, too small to share (sync {_us(best.sync_us)})"
    split = f"best split {_us(best.work_us)} + {_us(best.sync_us)} sync"
    if best.total_us >= own_us:
        return f"{place}: {times}, {split} is not faster"
    beside = "but not with its neighbours and the wake-up of the gpu"
    return f"{place}: {times}, {split} is faster alone, {beside}"


def why_no_npu(decision: Decision, way_us: float) -> str:
    """Why a task that the NPU takes is not there; `way_us` is its way there and back alone."""
    npu_us = decision.npu_us or 0.0
    rivals = [us for us in (decision.cpu_us, decision.gpu_us) if us is not None]
    if npu_us >= min(rivals):
        return f"not on the npu, where it takes {_us(npu_us)}"
    return f"not on the npu: {_us(npu_us)} and {_us(way_us)} there and back"


def _npu_reason(decision: Decision, price: Price) -> str:
    others = (("cpu", decision.cpu_us), ("gpu", decision.gpu_us))
    times = [f"{name} {_us(us)}" for name, us in others if us is not None]
    text = f"npu: {', '.join([_us(decision.npu_us or 0.0), *times])}"
    if price.cpu_transfer_us > _WORTH_SAYING_US:
        text += f"; a region begins, {_us(price.cpu_transfer_us)} to get there"
    return text


def _shared_reason(task: Task, decision: Decision, price: Price) -> str:
    share = decision.cut / grid_of(task, decision.axis).extent
    return (
        f"split {round(100 * share)}% {decision.axis.value} with the npu: "
        f"cpu {_us(decision.cpu_us or 0.0)}, npu {_us(decision.npu_us or 0.0)}, "
        f"predicted {_us(price.work_us)} with the way there and back"
    )


def _split_reason(task: Task, chosen: Choice, price: Price) -> str:
    decision, axis = chosen.decision, chosen.decision.axis.value
    text = (
        f"split {round(100 * chosen.share.cpu)}% {axis}: cpu {_us(decision.cpu_us or 0.0)}, "
        f"gpu {_us(decision.gpu_us or 0.0)}, predicted {_us(price.work_us)} + "
        f"{_us(price.sync_us)} sync"
    )
    if price.transfer_us > _WORTH_SAYING_US:
        text += f", {_us(price.transfer_us)} of it transfer"
    if axis == task.preferred_axis and task.axis_reason:
        return f"{text}; {task.axis_reason}"
    return text


def _mode_reason(choices: Sequence[Choice], options: Options, pick: int) -> str:
    """Why a cut or tickets, where there was the choice."""
    modes = {Mode.STATIC: "a cut would wait", Mode.TICKETS: "tickets would cost"}
    own = choices[pick].decision
    rival = next(mode for mode in modes if mode is not own.mode)
    others = [
        i
        for i, choice in enumerate(choices)
        if choice.share.split and choice.decision.mode is rival
    ]
    if not others:
        return ""
    best = min(others, key=lambda i: alone(options, i).total_us)
    costs_us = _us(float(options.sharing_us[pick]))
    against = f"{modes[rival]} {_us(float(options.sharing_us[best]))}"
    if own.mode is Mode.TICKETS:
        return f"tickets of {own.ticket}{_left_over(own)} cost {costs_us}, {against}"
    return f"static as the cut waits {costs_us} for what is not sure, {against}"


def _left_over(decision: Decision) -> str:
    """Who leaves the last tickets."""
    leaves = (("cpu", decision.cpu_leaves), ("gpu", decision.gpu_leaves))
    return "".join(f", the last {count} not for the {side}," for side, count in leaves if count)


def _us(time_us: float) -> str:
    return f"{time_us:.0f} µs" if time_us >= 10.0 else f"{time_us:.1f} µs"
