"""Small QDQ networks for NPU drivers, compiled once a process, every value of them an output."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime_values import onnxruntime_values
from quantized_outputs import with_quantized_outputs
from tapped_network import TappedNetwork, compile_tapped

import hetcomp
from hetcomp.bench import zoo
from hetcomp.options import CompileOptions

__all__ = ["SIZES", "NpuNetwork", "NpuNetworks"]

Arrays = dict[str, np.ndarray[Any, Any]]

SIZES: dict[str, dict[str, Any]] = {
    "resnet50": {"size": 32, "width": 0.25},
    "mobilenetv2": {"size": 32, "width": 0.25},
    "yolov8n": {"size": 32, "width": 0.25},
    "bert_base": {"size": 16, "width": 0.125, "depth": 0.1},
}


@dataclass(frozen=True)
class NpuNetwork:
    """A network compiled for driver `amx`, what it is fed, and what ONNX Runtime makes of it."""

    name: str
    model: onnx.ModelProto
    compiled: TappedNetwork

    @property
    def path(self) -> Path:
        """The model.so."""
        return self.compiled.path

    @cached_property
    def feeds(self) -> Arrays:
        """Random inputs."""
        return zoo.random_inputs(self.model)

    @cached_property
    def by_cpu(self) -> Arrays:
        """Every value as our own CPU kernels compute it."""
        with hetcomp.load(self.path, plan="cpu", quiet=True) as session:
            return dict(session.run(self.feeds))

    @cached_property
    def by_onnxruntime(self) -> Arrays:
        """Every quantised value as ONNX Runtime computes it."""
        return onnxruntime_values(self.model, self.feeds)


class NpuNetworks:
    """Builds and compiles on first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, NpuNetwork] = {}

    def __call__(self, name: str) -> NpuNetwork:
        if name not in self._made:
            model = with_quantized_outputs(zoo.build(name, qdq=True, **SIZES[name]))
            options = CompileOptions(plan="npu", npu_driver="amx", gpu=False)
            compiled = compile_tapped(model, self._folder / f"{name}.so", options)
            self._made[name] = NpuNetwork(name, model, compiled)
        return self._made[name]
