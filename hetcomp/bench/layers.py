"""`hetcomp bench layers`: every distinct layer of a network against the peak and ONNX Runtime.

A layer is a task: an operator with its epilogue. Layers are timed in place, inside whole
inferences, so that weights and activations come from where they come from in real runs: ours by
the runtime's time stamps (`hetcomp.tune.measure`), ONNX Runtime's by its own profiler, both on one
thread. ONNX Runtime's time of a layer is that of all its nodes that stand for the layer's ONNX
nodes; layout changes that it inserts between nodes are counted to no layer. The peak is measured
in turns with them (`hetcomp.bench.ceilings`). Winograd's layers count the direct method's
multiply-adds, and none counts those on padding. Times of OpenCL steps are differences of ends that
the CPU saw.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import onnx

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.ceilings import Ceilings, Probe
from hetcomp.bench.layer_rows import CPU, GPU, LayerRow, LayersOptions
from hetcomp.bench.layer_text import layer_text
from hetcomp.bench.layer_work import layer_flops
from hetcomp.bench.networks import Progress, Results, over_networks, silent
from hetcomp.bench.node_times import NodeProfiler, NodeTimes
from hetcomp.bench.timing import Arm, interleave
from hetcomp.cost.costs import Costs
from hetcomp.device_class import find_groups
from hetcomp.errors import DeviceError
from hetcomp.exclusive import exclusive
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.runtime import Session
from hetcomp.tune.measure import MeasureOptions, measure

__all__ = ["LayersReport", "bench_layers"]

_INFERENCES = 3
_MEMORY_BOUND = frozenset({"rowwise", "elementwise", "opaque"})


@dataclass(frozen=True)
class LayersReport:
    """Rows, networks that failed, and the roofs."""

    results: Results[LayerRow]
    ceilings: tuple[Ceilings, ...]


def bench_layers(options: LayersOptions, progress: Progress | None = None) -> LayersReport:
    """Measure the layers of all networks; a layer that several share is listed once.

    Raises
    ------
    DeviceError
        `gpu` is asked for and there is no OpenCL device that serves.
    """
    report = progress or silent
    report("measuring the peak", 0.0)
    with Probe(gpu=GPU in options.processors) as probe:
        with exclusive(options.lock):
            ceilings = tuple(probe.ceilings(processor) for processor in options.processors)
        results = over_networks(
            options.models, lambda name, part: _measured(name, options, probe, part), report
        )
    return LayersReport(replace(results, rows=_distinct(results.rows)), ceilings)


def _measured(
    name: str, options: LayersOptions, probe: Probe, report: Progress
) -> tuple[LayerRow, ...]:
    if len(options.processors) > 1 and find_groups(options.device_class) is not None:
        # the CPU has other kernels where it is alone
        alone = (replace(options, processors=(processor,)) for processor in options.processors)
        return tuple(row for one in alone for row in _measured(name, one, probe, report))
    with tempfile.TemporaryDirectory(prefix="hetcomp-bench-") as folder, ExitStack() as stack:
        network = _Network(name, options, Path(folder), report)
        stack.enter_context(network.session)
        with exclusive(options.lock):
            network.time(probe)
        return network.rows()


class _Network:
    """One network: compiled and loaded, then timed, then turned into rows."""

    def __init__(self, name: str, options: LayersOptions, folder: Path, report: Progress) -> None:
        self._name, self._options, self._report = name, options, report
        report("building", 0.0)
        model = zoo.build(name, size=options.size, qdq=options.qdq)
        self._nodes = {node.name: node for node in model.graph.node}
        self._weights = {item.name: tuple(item.dims) for item in model.graph.initializer}
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
        gpu = GPU in options.processors
        hetcomp.compile(
            path,
            output=folder / "model.so",
            options=replace(options.kernels, plan="gpu" if gpu else "cpu", gpu=gpu),
            progress=lambda text, part: report(text, part / 2),
        )
        report("loading", 0.5)
        self.session = _load(folder / "model.so", gpu)
        known = {name for task in self.session.graph.tasks for name in task.source}
        self._theirs = (
            NodeProfiler(path, zoo.random_inputs(model), folder, known)
            if "onnxruntime" in options.against
            else None
        )
        self._costs: list[Costs] = []
        self._peaks: dict[str, list[float]] = {processor: [] for processor in options.processors}

    def time(self, probe: Probe) -> None:
        """Ours, theirs and the peak, in turns."""
        arms = [Arm("ours", self._time_ours)]
        if self._theirs:
            arms.append(Arm("onnxruntime", self._time_theirs))
        arms += [Arm(f"peak of {p}", partial(self._time_peak, probe, p)) for p in self._peaks]
        interleave(
            arms, self._options.timing, lambda text, part: self._report(text, 0.5 + part / 2)
        )

    def _time_ours(self) -> None:
        once = MeasureOptions(rounds=1, reps=_INFERENCES)
        gpu = GPU in self._options.processors
        self._costs.append(measure(self.session, "bench", gpu=gpu, options=once))

    def _time_theirs(self) -> None:
        assert self._theirs is not None
        for _ in range(_INFERENCES + 1):
            self._theirs.run()

    def _time_peak(self, probe: Probe, processor: str) -> None:
        self._peaks[processor].append(probe.peak_gflops(processor))

    def rows(self) -> tuple[LayerRow, ...]:
        """A row for each distinct layer and processor."""
        graph = self.session.graph
        theirs = self._theirs.finish() if self._theirs else []
        turn = _INFERENCES + 1
        rounds = [theirs[first + 1 : first + turn] for first in range(0, len(theirs), turn)]
        products = self._theirs.products if self._theirs else frozenset()
        found = []
        for alike in _alike(graph):
            task = graph.tasks[alike[0]]
            if not self._wanted(task):
                continue
            peers = [_their_time(graph, alike, runs, products) for runs in rounds]
            for processor in self._options.processors:
                ours = [_time(costs, alike[0], processor) for costs in self._costs]
                if None not in ours:
                    times = [time for time in ours if time is not None]
                    found.append(self._row(alike, processor, times, peers))
        return tuple(found)

    def _wanted(self, task: Task) -> bool:
        arithmetic = task.kind not in _MEMORY_BOUND
        enough = task.flops >= self._options.min_mflop * 1e6
        return enough and (arithmetic or self._options.memory_bound)

    def _row(
        self,
        alike: Sequence[int],
        processor: str,
        times: Sequence[float],
        peers: Sequence[float | None],
    ) -> LayerRow:
        graph = self.session.graph
        task = graph.tasks[alike[0]]
        kernel = graph.kernels[task.kernel]
        flops = layer_flops(task, graph, self._nodes, self._weights)
        time_us, peak = median(times), median(self._peaks[processor])
        low, high = np.percentile(times, (10, 90))
        bytes_moved = task.weight_bytes + task.activation_bytes
        pairs = [(mine, peer) for mine, peer in zip(times, peers, strict=False) if peer]
        return LayerRow(
            model=self._name,
            layer=task.name,
            kind=task.kind,
            variant=kernel.variant,
            text=layer_text(task, graph, self._nodes),
            count=len(alike),
            also_in=(),
            processor=processor,
            mflop=flops / 1e6,
            mbytes=bytes_moved / 1e6,
            time_us=time_us,
            p10_us=float(low),
            p90_us=float(high),
            n=len(times),
            gflops=flops / time_us / 1e3,
            peak_gflops=peak,
            share_of_peak=flops / time_us / 1e3 / peak,
            gb_per_s=bytes_moved / time_us / 1e3,
            onnxruntime_us=median(peer for _, peer in pairs) if pairs else None,
            ratio_to_onnxruntime=median(m / p for m, p in pairs) if pairs else None,
            key=f"{kernel.key} {task.rows.extent}x{task.channels.extent}",
        )


def _load(path: Path, gpu: bool) -> Session:
    session = hetcomp.load(path, plan="cpu", quiet=True)
    if gpu and any(kernel.opencl for kernel in session.graph.kernels):
        session.use_plan("gpu")
        reason = session.status().why_no_gpu
        session.use_plan("cpu")
        if reason:
            session.close()
            raise DeviceError(f"{reason}; --processor cpu measures the CPU alone")
    return session


def _alike(graph: TaskGraph) -> Iterable[list[int]]:
    """Tasks by kernel and grids: alike ones share one time."""
    groups: dict[tuple[str, int, int], list[int]] = {}
    for index, task in enumerate(graph.tasks):
        key = (graph.kernels[task.kernel].key, task.rows.extent, task.channels.extent)
        groups.setdefault(key, []).append(index)
    return groups.values()


def _time(costs: Costs, task: int, processor: str) -> float | None:
    cost = costs.tasks[task]
    return cost.cpu_us if processor == CPU else cost.gpu_us


def _their_time(
    graph: TaskGraph, alike: Sequence[int], runs: Sequence[NodeTimes], products: frozenset[str]
) -> float | None:
    """Median over tasks and runs of the time of a task's nodes.

    None where ONNX Runtime has no node for it, or another one has swallowed its product.
    """
    found = []
    for index in alike:
        task = graph.tasks[index]
        needed = task.source if task.kind in _MEMORY_BOUND else products.intersection(task.source)
        for run in runs:
            if any(name in run for name in needed):
                found.append(sum(run.get(name, 0.0) for name in task.source))
    return (median(found) or None) if found else None


def _distinct(rows: Iterable[LayerRow]) -> tuple[LayerRow, ...]:
    """The first of rows alike, with the names of the other networks."""
    first: dict[tuple[str, str], LayerRow] = {}
    for row in rows:
        key = (row.key, row.processor)
        known = first.setdefault(key, row)
        if known is not row:
            first[key] = replace(known, also_in=(*known.also_in, row.model))
    return tuple(first.values())
