"""Random inputs that a zoo network accepts."""

from __future__ import annotations

import numpy as np
import onnx

from hetcomp.bench.zoo.graph import Array, ZooError, range_key


def random_inputs(model: onnx.ModelProto, seed: int = 0) -> dict[str, Array]:
    """Draw one set of inputs for a zoo network.

    Floats are standard normal; integers are uniform in the range that the model's metadata
    records, so indices are legal and attention masks are all ones.

    Parameters
    ----------
    model
        A model made by ``build``.
    seed
        Seed of the generator.

    Returns
    -------
    dict
        One array per graph input, float32 or int64, by input name.

    Raises
    ------
    ZooError
        If an input is neither float32 nor an int64 with a recorded range.

    Examples
    --------
    >>> from hetcomp.bench import zoo
    >>> model = zoo.build("bert_tiny", **zoo.small_size("bert_tiny"))
    >>> {name: array.shape for name, array in zoo.random_inputs(model).items()}
    {'input_ids': (1, 16), 'attention_mask': (1, 16)}
    """
    rng = np.random.default_rng(seed)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return {value.name: _draw(rng, value, metadata) for value in model.graph.input}


def _draw(rng: np.random.Generator, value: onnx.ValueInfoProto, metadata: dict[str, str]) -> Array:
    tensor_type = value.type.tensor_type
    shape = tuple(dim.dim_value for dim in tensor_type.shape.dim)
    if tensor_type.elem_type == onnx.TensorProto.FLOAT:
        return rng.standard_normal(shape, dtype=np.float32)
    recorded = metadata.get(range_key(value.name))
    if tensor_type.elem_type != onnx.TensorProto.INT64 or recorded is None:
        kind = onnx.TensorProto.DataType.Name(tensor_type.elem_type)
        raise ZooError(
            f"input {value.name!r}: got {kind} without a recorded range, expected FLOAT, or INT64 "
            f"with the metadata entry {range_key(value.name)!r}"
        )
    low, high = recorded.split(":")
    return rng.integers(int(low), int(high), shape, dtype=np.int64)
