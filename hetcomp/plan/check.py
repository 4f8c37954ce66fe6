"""Whether a plan fits a graph. A plan may come from a user's file, so errors say what to do."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches

from hetcomp.errors import PlanError
from hetcomp.plan.graph import Grid, Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Mode, Place, Plan

__all__ = ["can_share_with_npu", "check_plan", "grid_of"]

_ADVICE = "`hetcomp explain M.so --plan-out F.json` writes a plan that fits, to start from"


def grid_of(task: Task, axis: Axis) -> Grid:
    """The grid of `task` along `axis`."""
    return task.rows if axis is Axis.ROWS else task.channels


def check_plan(graph: TaskGraph, plan: Plan) -> None:
    """Check that `plan` decides every task of `graph` once and legally.

    Raises
    ------
    PlanError
        A task is unknown, missing or decided twice; a task without an OpenCL kernel is placed on
        the GPU, or one on the NPU that it takes not; a split has no tiles to cut or cuts where two
        tiles overlap.
    """
    _check_names(graph, plan)
    by_name = {task.name: task for task in graph.tasks}
    for decision in plan.decisions:
        _check_decision(graph, plan.name, by_name[decision.task], decision)


def _check_names(graph: TaskGraph, plan: Plan) -> None:
    known = {task.name for task in graph.tasks}
    counts = Counter(decision.task for decision in plan.decisions)
    for name, count in counts.items():
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else _ADVICE
            raise PlanError(f"plan '{plan.name}': no task '{name}' in '{graph.name}'; {hint}")
        if count > 1:
            raise PlanError(
                f"plan '{plan.name}': {count} decisions for task '{name}', expected 1; "
                "delete the others"
            )
    missing = [task.name for task in graph.tasks if task.name not in counts]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        names = ", ".join(f"'{name}'" for name in missing[:3])
        raise PlanError(
            f"plan '{plan.name}': no decision for task {names}{more} of '{graph.name}'; "
            f"every task needs one; {_ADVICE}"
        )


def _check_decision(graph: TaskGraph, plan: str, task: Task, decision: Decision) -> None:
    where = f"plan '{plan}', task '{task.name}'"
    kernel = graph.kernels[task.kernel]
    if decision.place is Place.CPU:
        return
    if decision.place is Place.NPU or decision.shared_with_npu:
        _check_npu(graph, where, task, decision)
        return
    if not kernel.opencl:
        why = kernel.why_no_opencl or "no reason given"
        raise PlanError(
            f"{where}: placed on '{decision.place.value}' but its kernel '{kernel.symbol}' has no "
            f"OpenCL version ({why}); set place to 'cpu'"
        )
    if decision.place is Place.SPLIT:
        _check_cut(where, task, decision)
        if decision.mode is Mode.TICKETS:
            _check_ticket(where, graph, task, decision)


def _check_npu(graph: TaskGraph, where: str, task: Task, decision: Decision) -> None:
    if not task.npu:
        raise PlanError(
            f"{where}: placed on 'npu', which takes it not: {task.why_no_npu}; set place "
            "to 'cpu', or compile with --npu-driver where the file has no NPU programs"
        )
    if decision.place is Place.NPU:
        return
    if decision.mode is not Mode.STATIC:
        raise PlanError(f"{where}: CPU and NPU share tasks by a cut; set mode to 'static'")
    if not can_share_with_npu(graph, task, decision.axis):
        raise PlanError(
            f"{where}: its {decision.axis.value} cannot be cut for the NPU; try the other axis, "
            "set place to 'npu' or 'cpu', or partner to 'gpu'"
        )
    _check_cut(where, task, decision)
    if decision.cut in (0, grid_of(task, decision.axis).extent):
        raise PlanError(
            f"{where}: cut {decision.cut} leaves one side nothing; set place to 'npu' or 'cpu'"
        )


def can_share_with_npu(graph: TaskGraph, task: Task, axis: Axis) -> bool:
    """Whether CPU and NPU may share a task along `axis`: whether it is known what its tiles write,
    and the NPU's program can be cut there."""
    grid = grid_of(task, axis)
    if not task.npu or grid.legal_cut(grid.extent - 1) <= 0:
        return False
    if axis is Axis.CHANNELS:
        return task.npu_columns > 0
    known = task.span_of(len(task.inputs)) is not None
    slices = any(graph.tensors[tensor].pitch_bytes for tensor in task.outputs)
    return task.npu_rows > 1 and known and not slices


def _check_cut(where: str, task: Task, decision: Decision) -> None:
    grid = grid_of(task, decision.axis)
    axis = decision.axis.value
    if grid.extent < 2:
        other = Axis.CHANNELS if decision.axis is Axis.ROWS else Axis.ROWS
        advice = f"split along '{other.value}' or " if grid_of(task, other).extent > 1 else ""
        raise PlanError(
            f"{where}: cannot be split along '{axis}', which has {grid.extent} tile; "
            f"{advice}set place to 'cpu' or 'gpu'"
        )
    if not 0 <= decision.cut <= grid.extent:
        raise PlanError(
            f"{where}: cut {decision.cut} along '{axis}' is outside 0..{grid.extent}; "
            f"give the number of tiles that the CPU takes"
        )
    legal = grid.legal_cut(decision.cut)
    if legal != decision.cut:
        raise PlanError(
            f"{where}: cut {decision.cut} along '{axis}' divides two overlapping tiles (the last "
            f"of {grid.extent} overlaps its predecessor); the nearest legal cut is {legal}"
        )


def _check_ticket(where: str, graph: TaskGraph, task: Task, decision: Decision) -> None:
    kernel = graph.kernels[task.kernel]
    if kernel.items != (1, 1):
        raise PlanError(
            f"{where}: the work-groups of '{kernel.symbol}' have {kernel.work_group} and cannot "
            "take tickets; set mode to 'static'"
        )
    grid = grid_of(task, decision.axis)
    least = 2 if grid.ragged else 1
    if not least <= decision.ticket <= grid.extent:
        raise PlanError(
            f"{where}: 'ticket' is {decision.ticket}, expected {least} to {grid.extent} tiles "
            f"along '{decision.axis.value}'"
        )
    leaves, count = (decision.cpu_leaves, decision.gpu_leaves), grid.extent // decision.ticket
    if min(leaves) < 0 or max(leaves) > count:
        raise PlanError(
            f"{where}: 'cpu_leaves' {leaves[0]}, 'gpu_leaves' {leaves[1]}, expected 0 to {count}, "
            "the number of tickets"
        )
    if min(leaves) > 0:
        raise PlanError(
            f"{where}: both 'cpu_leaves' and 'gpu_leaves' are above 0, so that nobody takes the "
            "last tickets; set one of them to 0"
        )
