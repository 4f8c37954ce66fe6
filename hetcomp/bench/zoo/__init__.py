"""Model zoo: 27 published architectures as ONNX graphs with seeded random weights.

Latency does not depend on the values of weights, so these stand in for trained networks in tests
and benchmarks, with nothing to download. Needs NumPy and onnx; int8 needs ONNX Runtime.
"""

from __future__ import annotations

import math

import onnx

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.catalog import NETWORKS, Network, Scale
from hetcomp.bench.zoo.graph import RandomWeights, ZooError
from hetcomp.bench.zoo.inputs import random_inputs

__all__ = ["Scale", "ZooError", "build", "names", "random_inputs", "small_size"]


def names() -> tuple[str, ...]:
    """Return the names of all networks.

    Examples
    --------
    >>> from hetcomp.bench import zoo
    >>> len(zoo.names())
    27
    """
    return tuple(NETWORKS)


def small_size(name: str) -> Scale:
    """Return keyword arguments of ``build`` for a version of ``name`` that suits tests.

    Each is under 60 MFLOP and holds a few MB of weights.

    Raises
    ------
    ZooError
        If there is no such network.

    Examples
    --------
    >>> from hetcomp.bench import zoo
    >>> zoo.small_size("resnet18")
    {'size': 64, 'width': 0.25, 'depth': 1.0}
    """
    return _network(name).small.copy()


def build(
    name: str,
    *,
    size: int | None = None,
    width: float = 1.0,
    depth: float = 1.0,
    seed: int = 0,
    qdq: bool = False,
) -> onnx.ModelProto:
    """Build a network (opset 17, IR version 9, static shapes, batch 1).

    Parameters
    ----------
    name
        One of ``names()``.
    size
        Pixels of the square image, number of tokens, or batch for DeepFM; None is the published
        one.
    width
        Factor on channel counts, vocabularies and table sizes, rounded to multiples of 8.
    depth
        Factor on the number of repeated blocks; networks without repeats ignore it.
    seed
        Seed of the weights; the same arguments give the same bytes.
    qdq
        Quantise to int8 with QuantizeLinear/DequantizeLinear pairs (needs ONNX Runtime).

    Returns
    -------
    onnx.ModelProto
        The model. Classifiers end before the softmax.

    Raises
    ------
    ZooError
        If there is no such network, a number is out of range, or the file would pass 2 GB.

    Examples
    --------
    >>> from hetcomp.bench import zoo
    >>> model = zoo.build("squeezenet", size=64, width=0.25)
    >>> [output.name for output in model.graph.output]
    ['logits']
    """
    network = _network(name)
    if size is None:
        size = network.size
    if size < 1 or seed < 0 or not (0 < width < math.inf and 0 < depth < math.inf):
        raise ZooError(
            f"network {name!r}: got size {size}, width {width}, depth {depth}, seed {seed}; "
            "expected positive numbers (the seed may be 0)"
        )
    builder = NetBuilder(name, RandomWeights(seed), width=width, depth=depth)
    network.define(builder, size)
    model = builder.model()
    if not qdq:
        return model
    # Only quantisation needs ONNX Runtime; the rest of the zoo works without it.
    from hetcomp.bench.zoo.quantize import quantize

    return quantize(model)


def _network(name: str) -> Network:
    if name not in NETWORKS:
        raise ZooError(f"no network named {name!r}; expected one of {', '.join(NETWORKS)}")
    return NETWORKS[name]
