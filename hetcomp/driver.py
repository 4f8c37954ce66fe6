"""`compile`: from an ONNX model to one model.so, one call per stage."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from hetcomp import cpu_alone
from hetcomp.codegen.toolchain import find_toolchain
from hetcomp.cost.profile_file import load_profile
from hetcomp.errors import InputError
from hetcomp.files import check_writable
from hetcomp.frontend import ImportedModel, import_onnx
from hetcomp.generate import Kernels, generate, link
from hetcomp.goal import Goal
from hetcomp.memory import peak_bytes
from hetcomp.npu.htp import check_installed
from hetcomp.options import CompileOptions
from hetcomp.placement import choose_plan
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.io import read_plan
from hetcomp.plan.placement import Placement
from hetcomp.plan.plan import Plan
from hetcomp.plan.planners import base_plans
from hetcomp.stages import Progress, Stages
from hetcomp.targets import CompileTarget, target_for
from hetcomp.unmeasured import unmeasured_placement

__all__ = ["Artifact", "compile"]


@dataclass(frozen=True)
class Artifact:
    """A compiled model.

    Attributes
    ----------
    path
        The model.so.
    plan
        Its default plan.
    graph
        Its task graph.
    seconds
        Time spent per stage, in seconds.
    why
        How `auto` found its plan; empty for other plans.
    peak_bytes
        Largest memory of `compiler`, this process, and `trial`, the one in which `auto` measured;
        only as far as the system tells.
    """

    path: Path
    plan: Plan
    graph: TaskGraph
    seconds: Mapping[str, float]
    why: str
    peak_bytes: Mapping[str, int]


def compile(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    output: str | os.PathLike[str],
    shapes: Mapping[str, Sequence[int]] | None = None,
    target: str = "host",
    options: CompileOptions | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Compile an ONNX model to one deployable .so.

    Parameters
    ----------
    model
        Path or bytes of an ONNX file, or a `ModelProto`.
    output
        The .so to write; it appears whole or not at all.
    shapes
        Input name to shape, for inputs with free dimensions.
    target
        `host`, this machine or the board of `options.rpc`; or a machine that is not here, see
        `hetcomp.targets.spec.parse_target`.
    options
        Plan and measuring; defaults to `CompileOptions()`.
    progress
        Called with the stage's name and the part done, 0 to 1.

    Returns
    -------
    Artifact
        Path, plan, task graph and times.

    Raises
    ------
    InputError
        Model, shapes, plan or target are wrong; nothing is written.
    ToolchainError
        The C++ compiler is missing or fails.

    Examples
    --------
    >>> artifact = compile("model.onnx", output="model.so")  # doctest: +SKIP
    >>> artifact.plan.name  # doctest: +SKIP
    'auto'
    """
    options = options or CompileOptions()
    path = Path(output)
    check_writable(path, "output")
    compile_target = target_for(target, options.rpc, f16_products=options.multiplies_f16)
    options = _for_target(_for_form(options), compile_target)
    if options.plan_is_file:
        read_plan(options.plan)  # a bad file is refused before minutes of work
    if options.profile:
        load_profile(options.profile)
    if options.npu == "htp":
        check_installed()
    stages = Stages(progress or (lambda _stage, _done: None))
    with stages.stage("import", 0.05):
        imported = import_onnx(model, shapes=shapes)
    notes: dict[str, Any] = {}
    if options.calibrate:
        with stages.stage("calibrate", 0.06):
            imported, notes = _quantized(imported, options, stages)
    with tempfile.TemporaryDirectory(prefix="hetcomp-") as folder:
        kernels = generate(imported, compile_target, options, Path(folder), stages)
        with stages.stage("plan", 0.75):
            placement = _place(kernels, options, Path(folder), stages)
        measures = _is_reachable(compile_target, options)
        if kernels.groups is not None and options.plan == "auto" and measures:
            with stages.stage("CPU alone", 0.9):
                rival = _CpuAlone(imported, compile_target, options, Path(folder) / "alone")
                kernels, placement = rival.better(kernels, placement)
        with stages.stage("link", 0.95):
            placement = replace(placement, notes={**placement.notes, **notes})
            link(kernels, placement, options, path, options.form)
    stages.report("done", 1.0)
    peaks = {"compiler": peak_bytes(), "trial": placement.peak_bytes}
    return Artifact(
        path,
        placement.plans[0],
        kernels.lowered.graph,
        dict(stages.seconds),
        placement.notes.get("auto", ""),
        {name: size for name, size in peaks.items() if size is not None},
    )


def _for_form(options: CompileOptions) -> CompileOptions:
    """`options` as far as what is linked can follow them."""
    if options.form != "static":
        return options
    return replace(options, gpu=False, plan="cpu" if options.plan == "auto" else options.plan)


def _for_target(options: CompileOptions, target: CompileTarget) -> CompileOptions:
    """`options` as far as the target can follow them; what is missing is found out before work."""
    if target.triple is None or target.gpu is None:
        return options
    find_toolchain(target.triple, options.ndk)
    if options.npu == "amx":
        raise InputError(f"npu_driver 'amx' is for x86-64 CPUs, not for target '{target.name}'")
    if options.tuned and not options.rpc:
        raise InputError(
            f"tuned: the winners in {options.tuned} are those of machines that tune; target "
            f"'{target.name}' is not here"
        )
    if not target.gpu.why_none or options.device_class != "auto":
        return options
    if options.plan in ("gpu", "split"):
        raise InputError(
            f"plan '{options.plan}': {target.gpu.why_none}; give --device-class to generate OpenCL "
            "kernels all the same"
        )
    return replace(options, gpu=False)


def _quantized(
    imported: ImportedModel, options: CompileOptions, stages: Stages
) -> tuple[ImportedModel, dict[str, Any]]:
    """The model in QDQ form, and what the file is to remember of that."""
    # Only quantisation needs ONNX Runtime.
    from hetcomp.quantize import KEY, quantized

    found = quantized(imported, options, lambda text, _part: stages.report(text, 0.06))
    return found.imported, {KEY: found.record.to_json()}


def _place(kernels: Kernels, options: CompileOptions, folder: Path, stages: Stages) -> Placement:
    """Choose the plans; `auto` links a trial .so and measures, where the target can be reached."""
    graph = kernels.lowered.graph
    if options.plan != "auto":
        return choose_plan(graph, options, None, stages.report)
    if not _is_reachable(kernels.target, options):
        return unmeasured_placement(graph, options, kernels.target.name)
    trial = folder / "trial.so"
    link(kernels, Placement(base_plans(graph), {}), options, trial)
    return choose_plan(graph, options, trial, stages.report)


def _is_reachable(target: CompileTarget, options: CompileOptions) -> bool:
    """Whether what is compiled for `target` can be run: here or by a server."""
    return target.triple is None or bool(options.rpc)


@dataclass(frozen=True)
class _CpuAlone:
    """The model for the CPU alone, which may beat a plan with OpenCL kernels of class `gpu`."""

    imported: ImportedModel
    target: CompileTarget
    options: CompileOptions
    folder: Path

    def better(self, kernels: Kernels, placement: Placement) -> tuple[Kernels, Placement]:
        """What takes less time: what is given, or this."""
        if not cpu_alone.may_win(placement, self.options):
            return kernels, placement
        self.folder.mkdir()
        options = replace(self.options, plan="cpu", gpu=False, goal=Goal(), profile="")
        own = generate(self.imported, self.target, options, self.folder, Stages(_silent))
        graph, trial = own.lowered.graph, self.folder / "trial.so"
        if not cpu_alone.has_own_kernels(graph):
            return kernels, placement
        link(own, Placement(base_plans(graph), {}), options, trial)
        time_us = cpu_alone.time_alone_us(graph, trial, self.options)
        found = cpu_alone.faster(graph, time_us, placement)
        return (kernels, cpu_alone.noted(time_us, placement)) if found is None else (own, found)


def _silent(_stage: str, _done: float) -> None:
    """Reports nothing."""
