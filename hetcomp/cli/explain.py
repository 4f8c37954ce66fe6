"""`hetcomp explain`: who runs what, and why. Loads the file for `--measure` only."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.common import command_options, refuse_options
from hetcomp.cli.explain_accuracy import explain_accuracy
from hetcomp.cli.explain_elsewhere import elsewhere
from hetcomp.cli.explain_plans import (
    compare,
    is_pipelined,
    measure_plans,
    print_candidates,
    print_comparison,
    simulate_pipeline,
    simulate_plans,
    write_timelines,
)
from hetcomp.cli.explain_sizes import sizes_json, sizes_text
from hetcomp.cli.output import number, print_json, print_table
from hetcomp.errors import InputError
from hetcomp.options import TIERS
from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.io import write_plan
from hetcomp.plan.plan import Decision, Mode, Place, Plan
from hetcomp.plan.transfer import share_of

if TYPE_CHECKING:
    from hetcomp.runtime.image import Image

__all__ = ["explain"]

_COLUMNS = ("task", "kind", "processor", "cpu share", "cpu µs", "gpu µs", "predicted µs", "reason")

_BULK = {"simulation", "ranges", "quantization"}
"""What of the record of the compilation is shown elsewhere."""

_NOT_ACCURACY = {"plan_out", "html", "measure", "profile", "tier"}


@click.command()
@click.argument("model", metavar="M.so", type=click.Path(path_type=Path))
@click.option(
    "--plan-out", metavar="F.json", type=click.Path(path_type=Path),
    help="Write the plan to a file, to edit and give to compile --plan.",
)  # fmt: skip
@click.option(
    "--html", metavar="F.html", type=click.Path(path_type=Path),
    help="Write a timeline of every plan.",
)  # fmt: skip
@click.option("--measure", is_flag=True, help="Run every plan here; --html shows both.")
@click.option(
    "--profile", metavar="F.json", type=click.Path(path_type=Path),
    help="Predict, plan and compare by the models of this device profile, which may be another "
    "device's; --plan-out then writes the plan for it.",
)  # fmt: skip
@click.option(
    "--tier", type=click.Choice(TIERS[:-1]),
    help="With --profile: how processors wait for each other; else the fastest that it has.",
)  # fmt: skip
@click.option(
    "--accuracy", metavar="MODEL.onnx", type=click.Path(path_type=Path),
    help="Compare a file of compile --calibrate with its float model: errors of all tasks on "
    "--inputs, and the operators that lose most. Shows nothing else.",
)  # fmt: skip
@click.option(
    "--inputs", metavar="F.npz", type=click.Path(path_type=Path),
    help="With --accuracy: samples, as for compile --calibrate.",
)  # fmt: skip
@click.option(
    "--search-seconds", metavar="S", type=click.FloatRange(min=0.0), default=120.0,
    show_default=True, help="With --accuracy: how long to search for operators; 0: not at all.",
)  # fmt: skip
@command_options
def explain(
    model: Path,
    plan_out: Path | None,
    html: Path | None,
    measure: bool,
    profile: Path | None,
    tier: str | None,
    accuracy: Path | None,
    inputs: Path | None,
    search_seconds: float,
    as_json: bool,
) -> None:
    """Show placement, shares, times and the reason for every task of a compiled model.

    All plans in the file are compared by simulation where times of their tasks are known. Times
    are those of the machine that compiled the model, or predicted by --profile; what was measured
    when compiling is then left out, and --measure is still of this machine.
    """
    from hetcomp.runtime import read_image

    if accuracy:
        refuse_options(_NOT_ACCURACY, "not with --accuracy")
        if not inputs:
            raise InputError("--accuracy needs samples to compare on: give --inputs F.npz")
        explain_accuracy(model, accuracy, inputs, search_seconds, as_json=as_json)
        return
    refuse_options({"inputs", "search_seconds"}, "only with --accuracy MODEL.onnx")
    if tier and not profile:
        raise InputError("--tier needs the costs of a device profile: give --profile too")
    stored = read_image(model)
    there = elsewhere(stored, profile, tier) if profile else None
    image = there.image if there else stored
    graph, plan = image.graph, image.plans[0]
    if plan_out:
        write_plan(plan_out, plan)
    simulations = simulate_plans(image, there.forecast if there else None)
    measured = measure_plans(model, stored) if measure else {}
    if html:
        write_timelines(html, image, simulations, measured)
    comparison = compare(image, simulations, measured)
    pipeline_us = simulate_pipeline(image, there.forecast if there else None)
    names = tuple(item.name for item in stored.plans)
    if as_json:
        about = {"device": there.forecast.costs.device, "tier": there.tier} if there else None
        data = {**_json(graph, plan, names, image.build), "profile": about}
        data["target"] = {
            "name": stored.target,
            "needs": stored.needs,
            "cores": stored.cores,
            "versions": [version.to_json() for version in stored.versions],
        }
        data["sizes"] = sizes_json(model, stored)
        data["pipeline"] = {"predicted_us": pipeline_us, "is_auto": is_pipelined(stored)}
        print_json({**data, "comparison": [row.to_json() for row in comparison]})
        return
    _print_tasks(graph, plan)
    click.echo(_summary(graph, plan, names))
    click.echo(_target_text(stored))
    click.echo(sizes_text(model, stored))
    if quantization := image.build.get("quantization"):
        click.echo(_quantization_text(quantization))
    if there:
        click.echo(there.text)
    if is_pipelined(stored):
        click.echo(_pipeline_text(pipeline_us))
    if comparison:
        print_comparison(comparison)
    if not there and (candidates := image.build.get("candidates")):
        print_candidates(candidates)


def _quantization_text(record: dict[str, Any]) -> str:
    floats = {*record["keep_float"], *record["exclusions"]}
    kept = f", {len(floats)} operators left in float" if floats else ""
    return f"quantised on {record['samples']} samples{kept}; --accuracy says at what cost"


def _pipeline_text(pipeline_us: float | None) -> str:
    found = (
        "" if pipeline_us is None else f", a result every {pipeline_us / 1e3:.2f} ms (predicted)"
    )
    return (
        "compiled for throughput: load() runs this plan, one request at a time; with "
        "load(pipeline='auto') each processor runs whole requests by plan cpu or gpu" + found
    )


def _print_tasks(graph: TaskGraph, plan: Plan) -> None:
    pairs = _pairs(graph, plan)
    rows: list[tuple[str, ...]] = [_row(graph, task, decision) for task, decision in pairs]
    columns: list[str] = list(_COLUMNS)
    if any(kernel.tuned for kernel in graph.kernels):
        columns.append("tuned")
        rows = [
            (*row, graph.kernels[task.kernel].tuned)
            for row, (task, _) in zip(rows, pairs, strict=True)
        ]
    if graph.asked_npu:
        columns += ["npu µs", "npu"]
        rows = [
            (*row, number(decision.npu_us), _npu(task))
            for row, (task, decision) in zip(rows, pairs, strict=True)
        ]
    right = (*_COLUMNS[3:7], "npu µs")
    print_table(f"{graph.name}: plan {plan.name}", columns, rows, right=right)


def _json(
    graph: TaskGraph, plan: Plan, names: tuple[str, ...], build: dict[str, Any]
) -> dict[str, Any]:
    return {
        "model": graph.name,
        "plan": plan.name,
        "plans": names,
        "predicted_us": plan.predicted_us,
        "measured_us": plan.measured_us,
        "tasks": [
            {**_task_json(graph, task, decision), **_ranges_json(build, task)}
            for task, decision in _pairs(graph, plan)
        ],
        "places": dict(Counter(decision.place.value for decision in plan.decisions)),
        "build": {key: value for key, value in build.items() if key not in _BULK},
        "quantization": _quantization_json(build),
    }


def _task_json(graph: TaskGraph, task: Task, decision: Decision) -> dict[str, Any]:
    return {
        "task": task.name,
        "kind": task.kind,
        "variant": graph.kernels[task.kernel].variant,
        "work_group": graph.kernels[task.kernel].work_group,
        "tuned": graph.kernels[task.kernel].tuned or None,
        "processor": decision.place.value,
        "cpu_share": _cpu_share(task, decision),
        "partner": decision.partner.value if decision.place is Place.SPLIT else None,
        "axis": decision.axis.value if decision.place.value == "split" else None,
        "cut": decision.cut if decision.place.value == "split" else None,
        "mode": decision.mode.value if decision.place.value == "split" else None,
        "ticket": decision.ticket if decision.mode is Mode.TICKETS else None,
        "cpu_us": decision.cpu_us,
        "gpu_us": decision.gpu_us,
        "npu_us": decision.npu_us,
        "predicted_us": decision.predicted_us,
        "reason": decision.reason,
        "npu": {"ok": task.npu, "reason": task.why_no_npu},
        "flops": task.flops,
        "source": task.source,
    }


def _quantization_json(build: dict[str, Any]) -> dict[str, Any] | None:
    """How the float model was quantised; null where it was not."""
    record = build.get("quantization")
    return record and {key: record[key] for key in ("samples", "keep_float", "exclusions")}


def _ranges_json(build: dict[str, Any], task: Task) -> dict[str, Any]:
    """Between which times four of five lie; null where times were not predicted."""
    ranges = build.get("ranges", {}).get(task.name, {})
    return {"cpu_range_us": ranges.get("cpu"), "gpu_range_us": ranges.get("gpu")}


def _row(graph: TaskGraph, task: Task, decision: Decision) -> tuple[str, ...]:
    split = decision.place.value == "split"
    how = "tickets" if decision.mode is Mode.TICKETS else "split"
    place = f"{how} {decision.axis.value}" if split else decision.place.value
    if decision.shared_with_npu:
        place += " with npu"
    share = _cpu_share(task, decision)
    return (
        task.name,
        _kind(task, graph.kernels[task.kernel].variant),
        place,
        "-" if share is None else f"{100 * share:.0f}%",
        number(decision.cpu_us),
        number(decision.gpu_us),
        number(decision.predicted_us),
        decision.reason,
    )


def _cpu_share(task: Task, decision: Decision) -> float | None:
    """None where the CPU only hands over."""
    if decision.place is Place.NPU:
        return None
    if decision.shared_with_npu:
        return decision.cut / grid_of(task, decision.axis).extent
    return share_of(task, decision).cpu


def _npu(task: Task) -> str:
    return "takes it" if task.npu else task.why_no_npu


def _kind(task: Task, variant: str) -> str:
    return task.kind if variant == "direct" else f"{task.kind} {variant}"


def _summary(graph: TaskGraph, plan: Plan, names: tuple[str, ...]) -> str:
    places = Counter(decision.place.value for decision in plan.decisions)
    parts = [f"{len(graph.tasks)} tasks: " + ", ".join(f"{n} {p}" for p, n in places.items())]
    if plan.predicted_us is not None:
        parts.append(f"predicted {plan.predicted_us / 1e3:.2f} ms")
    if plan.measured_us is not None:
        parts.append(f"measured {plan.measured_us / 1e3:.2f} ms")
    parts.append(f"plans in this file: {', '.join(names)}")
    return "; ".join(parts)


def _target_text(image: Image) -> str:
    """What the file runs on."""
    parts = [f"for {image.target or 'this machine'}"]
    if image.needs:
        parts.append(f"its CPU must have {', '.join(image.needs)}")
    if len(image.versions) > 1:
        names = ", else ".join(version.name for version in image.versions)
        parts.append(f"kernels for {names}")
    if image.cores:
        parts.append(f"inferences on CPUs {', '.join(map(str, image.cores))}")
    return "; ".join(parts)


def _pairs(graph: TaskGraph, plan: Plan) -> list[tuple[Task, Decision]]:
    by_task = {decision.task: decision for decision in plan.decisions}
    return [(task, by_task[task.name]) for task in graph.tasks]
