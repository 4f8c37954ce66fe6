"""How long ONNX Runtime takes for each node of a model, in place, by its own profiler.

ONNX Runtime fuses and renames nodes. Each of its nodes is led back to the ONNX node whose output it
makes, or else from whose name its own is derived; what belongs to none (layout changes between
nodes, for instance) is left out. A convolution or product that ends with a node of which our
tasks know nothing is led back further, along first inputs, to one they know. ONNX Runtime's
profiler counts whole microseconds.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path
from typing import Any

import onnx

from hetcomp.bench.peers import on_first_core
from hetcomp.bench.reference import Array
from hetcomp.errors import ModelError

__all__ = ["NodeProfiler", "NodeTimes", "origins"]

_SUFFIX = "_kernel_time"
_PRODUCTS = ("Conv", "Gemm", "MatMul")
"""Parts of the names of operators that multiply, fused and quantised forms included."""

NodeTimes = Mapping[str, float]
"""Microseconds by ONNX node."""


class NodeProfiler:
    """ONNX Runtime on one thread, on the core our CPU steps run on, with its profiler on.

    Parameters
    ----------
    path
        The model's file.
    feeds
        Inputs to run with.
    folder
        For the profile and the model as ONNX Runtime has optimised it.
    known
        ONNX nodes of which our tasks know.

    Attributes
    ----------
    products
        ONNX nodes that a convolution or matrix product of ONNX Runtime's stands for.
    run
        One inference.
    """

    def __init__(
        self, path: Path, feeds: Mapping[str, Array], folder: Path, known: Set[str]
    ) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = os.fspath(folder / "onnxruntime")
        optimized = folder / "optimized.onnx"
        options.optimized_model_filepath = os.fspath(optimized)
        try:
            self._session = ort.InferenceSession(os.fspath(path), options, ["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has no common base of its exceptions
            raise ModelError(f"model '{path}': ONNX Runtime cannot load it: {error}") from error
        self._feeds = dict(feeds)
        found = onnx.load(optimized)
        optimized.unlink()
        self._origins = origins(onnx.load(path), found, known)
        self.products = frozenset(
            self._origins[node.name]
            for node in found.graph.node
            if node.name in self._origins and _is_product(node)
        )
        self.run: Callable[[], object] = on_first_core(self._run)

    def finish(self) -> list[NodeTimes]:
        """Times of every run since the start, by ONNX node. The profiler cannot start again."""
        path = Path(self._session.end_profiling())
        events = json.loads(path.read_text(encoding="utf-8"))
        return [self._attributed(run) for run in _by_run(events)]

    def _run(self) -> object:
        return self._session.run(None, self._feeds)

    def _attributed(self, events: Iterable[Mapping[str, Any]]) -> NodeTimes:
        found: dict[str, float] = defaultdict(float)
        for event in events:
            node = self._origins.get(str(event["name"]).removesuffix(_SUFFIX))
            if node is not None:
                found[node] += float(event["dur"])
        return dict(found)


def origins(model: onnx.ModelProto, optimized: onnx.ModelProto, known: Set[str]) -> dict[str, str]:
    """For each node of `optimized` the node of `model` that it stands for, where there is one."""
    makers = {output: node for node in model.graph.node for output in node.output}
    by_name = {str(node.name): node for node in model.graph.node if node.name}
    found: dict[str, str] = {}
    for node in optimized.graph.node:
        made = next((makers[output] for output in node.output if output in makers), None)
        origin = made or by_name.get(_derived_from(str(node.name), by_name.keys()))
        while origin is not None and _is_product(node) and origin.name not in known:
            origin = makers.get(origin.input[0]) if origin.input else None
        if origin is not None:
            found[str(node.name)] = str(origin.name)
    return found


def _is_product(node: onnx.NodeProto) -> bool:
    return any(word in node.op_type for word in _PRODUCTS)


def _derived_from(name: str, names: Set[str]) -> str:
    """The longest of `names` that `name` begins with, up to the end of a word."""
    ends = [match.end() for match in re.finditer(r"[^\W_]+(?![^\W_])", name)]
    return next((name[:end] for end in reversed(ends) if name[:end] in names), "")


def _by_run(events: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Kernel events of each `model_run`, by time."""
    events = list(events)
    spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e["name"] == "model_run")
    kernels = [e for e in events if e.get("cat") == "Node" and e["name"].endswith(_SUFFIX)]
    runs: list[list[Mapping[str, Any]]] = [[] for _ in spans]
    ordered = iter(sorted(kernels, key=lambda event: float(event["ts"])))
    event = next(ordered, None)
    for run, (begin, end) in zip(runs, spans, strict=True):
        while event is not None and event["ts"] <= end:
            if event["ts"] >= begin:
                run.append(event)
            event = next(ordered, None)
    return runs
