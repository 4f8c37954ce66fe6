"""What this machine can do at most, measured with kernels of ours on the same path as the layers.

- peak: multiply-adds in registers, nothing else (`hetcomp.schedules.peak`);
- GEMM: a linear layer of 512x512x512, what a matrix product reaches in practice;
- memory and L2: `z = x + s * y` over arrays far larger than the caches, or within the L2 cache;
  three streams are counted, not the read of `z` that a store without a hint brings about.

All on one CPU thread, or on the whole OpenCL device. `Probe.peak_gflops` is cheap, so that it can
be taken in turns with what is measured against it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
import onnx
from onnx import helper, numpy_helper

import hetcomp
from hetcomp.codegen.image import write_image
from hetcomp.codegen.kernels import opencl_source
from hetcomp.codegen.link import link_model
from hetcomp.codegen.lower import Lowered, lower_tasks
from hetcomp.codegen.lowered_kernel import LoweredKernel
from hetcomp.codegen.versions import cpu_code
from hetcomp.cost.samples import undisturbed
from hetcomp.frontend import import_onnx
from hetcomp.pipeline import fusion_pipeline
from hetcomp.plan.graph import Grid, Kernel, Space, Task, Tensor
from hetcomp.plan.plan import Place
from hetcomp.plan.planners import single
from hetcomp.plan.steps import make_table
from hetcomp.runtime import Session
from hetcomp.schedules.facts import DeviceFacts
from hetcomp.schedules.peak import peak
from hetcomp.targets import find_target

__all__ = ["Ceilings", "Probe"]

_GEMM = 512
_MEMORY_FLOATS = 16 << 20
"""64 MiB an array, three arrays."""
_L2_FLOATS = 64 << 10
"""256 KiB an array."""
_PEAK, _MATMUL, _MEMORY, _L2 = "peak", "gemm", "memory", "l2"
_REPS = 5


@dataclass(frozen=True)
class Ceilings:
    """The roofs over one processor.

    Attributes
    ----------
    processor
        `cpu` or `gpu`.
    peak_gflops, gemm_gflops
        float32 multiply-adds in registers, and GEMM 512^3.
    memory_gb_per_s, l2_gb_per_s
        Bandwidth of the triad out of memory and out of the L2 cache.
    """

    processor: str
    peak_gflops: float
    gemm_gflops: float
    memory_gb_per_s: float
    l2_gb_per_s: float


class Probe:
    """The kernels, compiled and loaded; use as a context manager.

    Parameters
    ----------
    gpu
        Whether to measure the OpenCL device too.
    """

    def __init__(self, *, gpu: bool) -> None:
        with tempfile.TemporaryDirectory(prefix="hetcomp-probe-") as folder:
            path = Path(folder) / "probe.so"
            _build(path, Path(folder), gpu)
            self._session: Session = hetcomp.load(path, plan="gpu" if gpu else "cpu", quiet=True)

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()

    def peak_gflops(self, processor: str) -> float:
        """Multiply-adds in registers, now; takes some milliseconds."""
        return self._work(_PEAK, processor) / self._least_us(_PEAK, processor) / 1e3

    def ceilings(self, processor: str) -> Ceilings:
        """All roofs of `processor`; takes some tenths of a second."""
        return Ceilings(
            processor,
            self.peak_gflops(processor),
            self._work(_MATMUL, processor) / self._least_us(_MATMUL, processor) / 1e3,
            self._bandwidth(_MEMORY, processor),
            self._bandwidth(_L2, processor),
        )

    def _work(self, name: str, processor: str) -> int:
        return self._task(name).flops

    def _bandwidth(self, name: str, processor: str) -> float:
        return self._task(name).activation_bytes / self._least_us(name, processor) / 1e3

    def _least_us(self, name: str, processor: str) -> float:
        """Undisturbed: other work only lowers what a roof is measured to be."""
        return undisturbed(self._session.time_task(name, processor, warmup=1, reps=_REPS))

    def _task(self, name: str) -> Task:
        return next(task for task in self._session.graph.tasks if task.name == name)


def _build(path: Path, folder: Path, gpu: bool) -> None:
    target = find_target("host")
    imported = import_onnx(_model())
    module = fusion_pipeline()(imported.mod)
    lowered = _with_peak(lower_tasks(imported, module, target.cpu, gpu=gpu), target.cpu, gpu)
    code = cpu_code(lowered.kernels, target, folder)
    opencl = opencl_source(lowered.kernels, target.opencl) if gpu else ""
    graph = lowered.graph
    plans = [single(graph, place) for place in ([Place.CPU, Place.GPU] if gpu else [Place.CPU])]
    tables = [make_table(graph, plan) for plan in plans]
    image = folder / "image.bin"
    write_image(image, graph, plans, tables, opencl, lowered.constants, {}, target=target.name)
    link_model(code.objects, code.symbols, image, path)


def _model() -> onnx.ModelProto:
    """A product and two triads that know nothing of each other."""
    scale = numpy_helper.from_array(np.float32(1.5), "scale")
    weights = np.full((_GEMM, _GEMM), 1 / _GEMM, np.float32)
    nodes = [helper.make_node("MatMul", ["a", "w"], ["b"], _MATMUL)]
    inputs, outputs = [("a", [_GEMM, _GEMM])], [("b", [_GEMM, _GEMM])]
    for name, floats in ((_MEMORY, _MEMORY_FLOATS), (_L2, _L2_FLOATS)):
        shape = [floats // 1024, 1024]
        x, y, scaled, z = (f"{name}_{part}" for part in ("x", "y", "scaled", "z"))
        nodes += [
            helper.make_node("Mul", [y, "scale"], [scaled], f"{name}.scale"),
            helper.make_node("Add", [x, scaled], [z], name),
        ]
        inputs += [(x, shape), (y, shape)]
        outputs.append((z, shape))
    graph = helper.make_graph(
        nodes,
        "probe",
        [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in inputs],
        [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in outputs],
        [scale, numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _with_peak(lowered: Lowered, facts: DeviceFacts, gpu: bool) -> Lowered:
    """`lowered` with the task `peak`, which no ONNX operator makes, on tensors of its own."""
    scheduled, graph = peak(facts), lowered.graph
    lanes, rows = facts.lanes, scheduled.rows.extent
    shapes = {"peak_x": (lanes,), "peak_y": (lanes,), "peak_out": (rows, lanes)}
    first = len(graph.tensors)
    tensors = [
        Tensor(name, shape, "float32", 4 * int(np.prod(shape)), Space.ARENA)
        for name, shape in shapes.items()
    ]
    task = Task(
        name=_PEAK,
        kind=scheduled.kind,
        kernel=len(graph.kernels),
        inputs=(first, first + 1),
        outputs=(first + 2,),
        rows=Grid(rows),
        channels=Grid(1),
        preferred_axis=scheduled.preferred_axis,
        axis_reason=scheduled.axis_reason,
        flops=scheduled.flops,
    )
    kernel = Kernel(_PEAK, len(shapes), gpu, "" if gpu else "not asked for", _PEAK)
    return replace(
        lowered,
        graph=replace(
            graph,
            tensors=(*graph.tensors, *tensors),
            kernels=(*graph.kernels, kernel),
            tasks=(*(replace(t, name=_name(t)) for t in graph.tasks), task),
            inputs=(*graph.inputs, first, first + 1),
            outputs=(*graph.outputs, first + 2),
        ),
        kernels=(*lowered.kernels, LoweredKernel(_PEAK, scheduled)),
    )


def _name(task: Task) -> str:
    """The node that a probe's task ends with."""
    return task.source[-1]
