"""The kernels of a model and their link: everything of a model.so except its plans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from hetcomp.codegen.image import write_image
from hetcomp.codegen.kernels import opencl_source
from hetcomp.codegen.link import link_model
from hetcomp.codegen.lower import Lowered, lower_tasks
from hetcomp.codegen.toolchain import find_toolchain
from hetcomp.codegen.versions import CpuCode, cpu_code
from hetcomp.device_class import find_groups, find_local_bytes
from hetcomp.frontend import ImportedModel
from hetcomp.npu.part import NpuTasks
from hetcomp.options import CompileOptions
from hetcomp.passes.static_shapes import require_static_shapes
from hetcomp.pipeline import fusion_pipeline
from hetcomp.plan.placement import Placement
from hetcomp.precision import computes_integers
from hetcomp.runtime.elf import loaded_bytes
from hetcomp.schedules.facts import GroupFacts
from hetcomp.schedules.half import FORMATS
from hetcomp.stages import Stages
from hetcomp.targets import CompileTarget
from hetcomp.tune.winners import TunedChoices
from hetcomp.tuning import tuned_choices

__all__ = ["Kernels", "generate", "link"]


@dataclass(frozen=True)
class Kernels:
    """Everything of the .so except its plans; `groups` if OpenCL kernels are of class `gpu`."""

    lowered: Lowered
    groups: GroupFacts | None
    code: CpuCode
    opencl: str
    target: CompileTarget
    folder: Path
    model_name: str
    npu: NpuTasks


def generate(
    imported: ImportedModel,
    target: CompileTarget,
    options: CompileOptions,
    folder: Path,
    stages: Stages,
) -> Kernels:
    """Fuse, schedule and compile a model for one target, into files in `folder`."""
    with stages.stage("fuse", 0.1):
        require_static_shapes(imported.mod)
        groups = _groups(options, target)
        if options.gpu and groups is None and target.triple is None:
            target = target.within(find_local_bytes())
        integers = computes_integers(imported, options.precision)
        module = fusion_pipeline(integers=integers, fuse_attention=groups is None)(imported.mod)
    with stages.stage("schedule and pack", 0.15):
        choose = _choices(options, groups)
        lowered = lower_tasks(
            imported,
            module,
            target.cpu,
            gpu=options.gpu,
            groups=groups,
            choose=choose,
            exact=options.exact,
            half=FORMATS.get(options.precision),
            npu=bool(options.npu),
        )
        npu = NpuTasks.of(options.npu, lowered.graph, lowered.operators, lowered.constant)
        lowered = replace(lowered, graph=npu.graph)
    with stages.stage("CPU kernels", 0.25):
        code = cpu_code(lowered.kernels, target, folder)
    with stages.stage("OpenCL kernels", 0.55):
        opencl = opencl_source(lowered.kernels, target.opencl) if options.gpu else ""
    return Kernels(lowered, groups, code, opencl, target, folder, imported.name, npu)


def _groups(options: CompileOptions, target: CompileTarget) -> GroupFacts | None:
    """The OpenCL device if it is of class `gpu`: the CPU gives up kernels for its sake, but not
    where the CPU computes everything."""
    if not options.gpu or options.plan == "cpu":
        return None
    opencl_f16 = options.opencl_f16 if options.multiplies_f16 else "off"
    find = find_groups if target.gpu is None else target.gpu.groups_for
    return find(options.device_class, opencl_f16)


def _choices(options: CompileOptions, groups: GroupFacts | None) -> TunedChoices | None:
    return tuned_choices(options, groups) if options.tuned else None


def link(
    kernels: Kernels,
    placement: Placement,
    options: CompileOptions,
    output: Path,
    form: str = "library",
) -> None:
    """Write the file that `form` asks for, with these plans."""
    npu = kernels.npu.part(placement.plans, options.soc)
    graph = npu.graph
    image = kernels.folder / "image.bin"
    write_image(
        image,
        graph,
        placement.plans,
        placement.tables(graph, options.memory_limit),
        kernels.opencl,
        chain(kernels.lowered.constants, npu.arrays),
        {
            "model": kernels.model_name,
            "objective": options.goal.objective,
            "form": form,
            "triple": kernels.target.triple or "",
            "kernel_bytes": sum(map(loaded_bytes, kernels.code.objects)),
            **placement.notes,
        },
        target=kernels.target.name,
        npu=npu.description,
        versions=kernels.target.versions,
        cores=kernels.target.cores if options.cores is None else options.cores,
    )
    toolchain = find_toolchain(kernels.target.triple, options.ndk)
    code, versions = kernels.code, len(kernels.target.versions)
    link_model(
        code.objects,
        code.symbols,
        image,
        output,
        versions=versions,
        toolchain=toolchain,
        form=form,
    )
