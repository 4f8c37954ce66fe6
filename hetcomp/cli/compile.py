"""`hetcomp compile`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from hetcomp.cli.common import command_options
from hetcomp.cli.cores import parse_cores
from hetcomp.cli.goal import goal_options, parse_goal, parse_size
from hetcomp.cli.output import print_json, progress_bar, size_text, split_names
from hetcomp.cli.shapes import parse_shapes
from hetcomp.devices.htp import SOCS
from hetcomp.devices.npu import describe_npus
from hetcomp.errors import PlanError
from hetcomp.files import check_writable
from hetcomp.options import (
    DEVICE_CLASSES,
    FORMS,
    NPU_DRIVERS,
    OPENCL_F16,
    PLAN_NAMES,
    PRECISIONS,
    CompileOptions,
)
from hetcomp.plan.plan import Place

__all__ = ["compile_command"]


@click.command("compile")
@click.argument("model", metavar="MODEL.onnx", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, metavar="M.so", type=click.Path(path_type=Path),
    help="File to write.",
)  # fmt: skip
@click.option(
    "--target", default="host", show_default=True, metavar="host|NAME|TRIPLE[,cpu=...]",
    help="What to compile for, such as rk3588 or aarch64-linux-gnu,cpu=cortex-a76,gpu=mali; "
    "hetcomp targets lists them.",
)  # fmt: skip
@click.option(
    "--cores", metavar="N-M,N|all",
    help="CPUs of the device that inferences run on, by Linux's numbers; default: those of a named "
    "target's fastest cluster, else all.",
)  # fmt: skip
@click.option(
    "--plan", default="auto", show_default=True, metavar="auto|cpu|gpu|split|npu|F.json",
    help="auto measures and takes the fastest, by prediction only where disturbed times tie; a "
    "file is a plan that explain wrote.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True,
    help="Arithmetic. auto: integers for a model in QDQ form, else f32; int8 insists on QDQ form; "
    "f32 computes a QDQ model in floats; f16 and bf16 too, with 16 bits in memory.",
)  # fmt: skip
@click.option(
    "--calibrate", metavar="F.npz", type=click.Path(path_type=Path),
    help="Quantise a float32 model to 8 bits by these samples of its inputs: arrays by name, with "
    "samples along the first axis; or a folder of such files.",
)  # fmt: skip
@click.option(
    "--keep-float", default="", metavar="NAME,NAME,...",
    help="With --calibrate: operators to leave in float; explain --accuracy names candidates.",
)  # fmt: skip
@click.option(
    "--shape", "shapes", multiple=True, metavar="NAME=N,N,...",
    help="Shape of an input with free dimensions; may be given several times.",
)  # fmt: skip
@click.option(
    "--device-class", type=click.Choice(DEVICE_CLASSES), default="auto", show_default=True,
    help="OpenCL kernels: one work-item a tile, or work-groups that share one; auto: by device.",
)  # fmt: skip
@click.option(
    "--opencl-f16", type=click.Choice(OPENCL_F16), default="auto", show_default=True,
    help="Kernels of class gpu multiply float16 in precision f16; auto: where this machine's "
    "device does. One that does not computes them in f32.",
)  # fmt: skip
@click.option(
    "--npu-driver", type=click.Choice(NPU_DRIVERS), default=None,
    help="Describe the tasks to NPU drivers, this one above all; adds the plan npu to the file, "
    "and plan auto uses it where it is faster. amx: Intel's tiles; reference, the default with "
    "--plan npu: an oracle in portable C++; htp: Qualcomm's, needs hetcomp[qnn], whose libraries "
    "are proprietary (AI Stack License).",
)  # fmt: skip
@click.option(
    "--soc", type=click.Choice(tuple(SOCS)), default="SM8650", show_default=True,
    help="System on chip for --npu-driver htp.",
)  # fmt: skip
@click.option(
    "--tuned", metavar="DB", type=click.Path(path_type=Path),
    help="Data base of hetcomp tune, whose winners set the kernels' parameters.",
)  # fmt: skip
@click.option(
    "--profile", metavar="F.json", type=click.Path(path_type=Path),
    help="Device profile of this machine: auto predicts tasks by it and measures plans only.",
)  # fmt: skip
@click.option(
    "--rpc", default="", metavar="HOST:PORT[,KEY]",
    help="Compile for the board where hetcomp_rpc runs; auto measures there. With KEY, one of that "
    "tracker.",
)  # fmt: skip
@click.option(
    "--exact", is_flag=True,
    help="Compute convolutions directly, without Winograd's method and its larger rounding error.",
)  # fmt: skip
@click.option(
    "--form", type=click.Choice(FORMS), default="library", show_default=True,
    help="What to make: an .so; a program with a command line (--help), which needs the C library "
    "alone; or one that is static and for the CPU.",
)  # fmt: skip
@click.option(
    "--ndk", metavar="FOLDER", type=click.Path(path_type=Path),
    help="Android's NDK, for Android targets; default: $ANDROID_NDK_HOME.",
)  # fmt: skip
@goal_options
@click.option(
    "--strict",
    is_flag=True,
    help="Fail where a task cannot run where the plan wants, or a profile serves no purpose.",
)
@command_options
def compile_command(
    model: Path,
    output: Path,
    target: str,
    cores: str | None,
    plan: str,
    precision: str,
    calibrate: Path | None,
    keep_float: str,
    shapes: tuple[str, ...],
    device_class: str,
    opencl_f16: str,
    npu_driver: str | None,
    soc: str,
    tuned: Path | None,
    profile: Path | None,
    rpc: str,
    exact: bool,
    objective: str,
    granularity: str,
    gpu_cap: float,
    watts: str,
    memory_limit: str,
    form: str,
    ndk: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Compile MODEL.onnx to one deployable .so."""
    _check_plan_name(plan)
    check_writable(output, "output")
    bound = parse_shapes(shapes)
    options = CompileOptions(
        plan=plan,
        strict=strict,
        device_class=device_class,
        opencl_f16=opencl_f16,
        tuned=str(tuned or ""),
        profile=str(profile or ""),
        rpc=rpc,
        npu_driver=npu_driver or "",
        soc=soc,
        exact=exact,
        form=form,
        ndk=str(ndk or ""),
        precision=precision,
        calibrate=str(calibrate or ""),
        keep_float=split_names(keep_float),
        goal=parse_goal(objective, granularity, gpu_cap, watts),
        memory_limit=parse_size(memory_limit),
        cores=None if cores is None else parse_cores(cores),
    )
    import hetcomp

    with progress_bar() as progress:
        artifact = hetcomp.compile(
            model,
            output=output,
            shapes=bound or None,
            target=target,
            options=options,
            progress=progress,
        )
    result = {**_result(artifact), "why_no_npu": _why_no_npu(options, artifact, target)}
    if as_json:
        print_json(result)
        return
    places = ", ".join(f"{count} {place}" for place, count in result["places"].items())
    click.echo(
        f"{result['output']}: {size_text(result['size_bytes'])}, plan {result['plan']} with "
        f"{places}; compiled in {sum(result['seconds'].values()):.1f} s"
    )
    if result["why_no_npu"]:
        click.echo(f"  here the CPU computes what is for the NPU: {result['why_no_npu']}")
    if result["why"]:
        click.echo(f"  {result['plan']}: {result['why']}")
    for answer, names in _by_answer(result["tuned"]).items():
        click.echo(f"  tuned {answer} ({len(names)}): {', '.join(names)}")


def _by_answer(tuned: dict[str, str]) -> dict[str, list[str]]:
    """Tasks by what the data base had for them."""
    found: dict[str, list[str]] = {}
    for task, answer in tuned.items():
        found.setdefault(answer, []).append(task)
    return found


def _check_plan_name(plan: str) -> None:
    if plan not in PLAN_NAMES and not Path(plan).is_file():
        raise PlanError(f"'{plan}' is neither a plan ({', '.join(PLAN_NAMES)}) nor a file")


def _why_no_npu(options: CompileOptions, artifact: Any, target: str) -> str:
    """Why no NPU of this machine runs what the plan puts there; empty if one does."""
    places = {decision.place for decision in artifact.plan.decisions}
    if Place.NPU not in places or target != "host" or options.rpc:
        return ""
    (verdict,) = (npu.verdict for npu in describe_npus() if npu.name == options.npu)
    return "" if verdict.ok else f"driver {options.npu}: {verdict.reason}"


def _result(artifact: Any) -> dict[str, Any]:
    path = Path(artifact.path)
    return {
        "output": str(path),
        "size_bytes": path.stat().st_size,
        "model": artifact.graph.name,
        "tasks": len(artifact.graph.tasks),
        "plan": artifact.plan.name,
        "places": dict(Counter(decision.place.value for decision in artifact.plan.decisions)),
        "predicted_us": artifact.plan.predicted_us,
        "measured_us": artifact.plan.measured_us,
        "seconds": dict(artifact.seconds),
        "why": artifact.why,
        "peak_bytes": dict(artifact.peak_bytes),
        "tuned": {
            task.name: artifact.graph.kernels[task.kernel].tuned
            for task in artifact.graph.tasks
            if artifact.graph.kernels[task.kernel].tuned
        },
    }
