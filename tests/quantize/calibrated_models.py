"""Small float networks and samples of their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

Array = np.ndarray[Any, Any]

SHAPE = (1, 3, 12, 12)
LAYERS = 8
PLANTED = ("conv4", "conv5")
"""What makes and what reads the tensor that does not stand being quantised."""
_CHANNELS = 16
_HUGE = 100.0


def chain(*, planted: bool = False, seed: int = 0) -> onnx.ModelProto:
    """Convolutions with ReLU one after the other, and a classifier.

    `planted`: one channel between two of them is huge, and what reads it weighs it as little. In
    floats nothing changes; one scale of 8 bits for all channels leaves nothing of the others.
    """
    rng = np.random.default_rng(seed)
    weights: dict[str, Array] = {}
    nodes, value, depth = [], "x", SHAPE[1]
    for layer in range(LAYERS):
        fan_in = depth * 9
        w = rng.standard_normal((_CHANNELS, depth, 3, 3)) * np.sqrt(2.0 / fan_in)
        if planted and f"conv{layer}" == PLANTED[0]:
            w[0] *= _HUGE
        if planted and f"conv{layer}" == PLANTED[1]:
            w[:, 0] /= _HUGE
        weights[f"w{layer}"], depth = w.astype(np.float32), _CHANNELS
        nodes.append(f"c{layer} = Conv<pads=[1,1,1,1]>({value}, w{layer})")
        nodes.append(f"r{layer} = Relu(c{layer})")
        value = f"r{layer}"
    weights["head"] = rng.standard_normal((_CHANNELS, 10)).astype(np.float32)
    nodes += [f"p = GlobalAveragePool({value})", "f = Flatten(p)", "y = MatMul(f, head)"]
    shape = ",".join(map(str, SHAPE))
    model = made(f"g (float[{shape}] x) => (float[1,10] y) {{ {' '.join(nodes)} }}", weights)
    for node in model.graph.node:
        node.name = {"Conv": f"conv{node.output[0][1:]}", "MatMul": "head"}.get(
            node.op_type, f"node_{node.output[0]}"
        )
    return model


def made(text: str, weights: Mapping[str, Array], *, opset: int = 17) -> onnx.ModelProto:
    """The model of `g (inputs) => (outputs) {nodes}`."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {text}')
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()
    )
    return model


def samples(count: int, seed: int = 1) -> dict[str, Array]:
    """Samples of `chain`'s input, stacked."""
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((count, *SHAPE[1:]), dtype=np.float32)}


def write(folder: Path, model: onnx.ModelProto, arrays: Mapping[str, Array]) -> tuple[Path, Path]:
    """Files of a model and of its samples."""
    onnx.save(model, folder / "model.onnx")
    np.savez(folder / "samples.npz", **arrays)
    return folder / "model.onnx", folder / "samples.npz"
