"""Distinct layers of zoo networks, and a .so with copies of one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hetcomp.bench import zoo
from hetcomp.bench.layer_chain import chain_copies
from hetcomp.codegen.functions import function_to_json
from hetcomp.device_class import find_groups
from hetcomp.tune.tasks import TuneTask
from hetcomp.tune.trial import Trial, build_trial
from hetcomp.tuning import tasks_of

__all__ = ["Layer", "build_chain", "layers_of", "spread"]


@dataclass(frozen=True)
class Layer:
    """A distinct task of the first network that has it; plain data.

    Attributes
    ----------
    model, name
        The network, and the task there.
    kind, text
        Family of its kernel, and its shapes.
    key
        The same for layers with the same kernel and grids.
    flops, layer_bytes
        Work, and size of weights, inputs and outputs.
    trial
        What to build; without copies yet.
    """

    model: str
    name: str
    kind: str
    text: str
    key: str
    flops: int
    layer_bytes: int
    trial: Trial


def layers_of(model: str, kinds: Sequence[str], min_mflop: float) -> tuple[Layer, ...]:
    """Layers of a zoo network that both processors can run."""
    layers = (_layer(model, task) for task in tasks_of(zoo.build(model)) if task.opencl)
    return tuple(
        layer for layer in layers if layer.kind in kinds and layer.flops >= min_mflop * 1e6
    )


def _layer(model: str, task: TuneTask) -> Layer:
    trial = Trial(
        function=function_to_json(task.func),
        constants=tuple(sorted(task.constants)),
        choices=(task.base.values(),),
        opencl=True,
        groups=find_groups("auto"),
        small=task.small,
        own_inputs=True,
    )
    return Layer(
        model=model,
        name=task.name,
        kind=task.what.split()[0],
        text=task.what,
        key=f"{task.baseline} {task.rows}x{task.channels}",
        flops=task.flops,
        layer_bytes=sum(
            np.dtype(str(buffer.dtype)).itemsize * math.prod(int(dim) for dim in buffer.shape)
            for buffer in task.func.params
        ),
        trial=trial,
    )


def spread(layers: Sequence[Layer], count: int) -> tuple[Layer, ...]:
    """`count` of the layers, evenly spread over their order by work; 0 takes all.

    Of each kind as many as of the others, as far as there are.
    """
    ordered = sorted(layers, key=lambda layer: (layer.flops, layer.key))
    if not count or count >= len(ordered):
        return tuple(ordered)
    kinds = sorted({layer.kind for layer in ordered}, key=lambda k: _count(ordered, k))
    found: list[Layer] = []
    for left, kind in zip(range(len(kinds), 0, -1), kinds, strict=True):
        alike = [layer for layer in ordered if layer.kind == kind]
        wanted = min(len(alike), (count - len(found)) // left)
        places = np.linspace(0, len(alike) - 1, wanted).round().astype(int)
        found += [alike[place] for place in places]
    return tuple(sorted(found, key=lambda layer: layer.flops))


def _count(layers: Sequence[Layer], kind: str) -> int:
    return sum(layer.kind == kind for layer in layers)


def build_chain(layer: Layer, cache_bytes: int, output: Path) -> None:
    """Build the .so of `hetcomp.bench.layer_chain` for `layer`."""
    copies = chain_copies(layer.layer_bytes, cache_bytes)
    build_trial(replace(layer.trial, copies=copies), output)
