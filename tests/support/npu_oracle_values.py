"""The scalar arithmetic of region programs in NumPy: for a whole tensor at once.

Written from the definition in `hetcomp.npu.operators` alone; shares no code with a driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hetcomp.npu.operators import Value

__all__ = ["evaluate", "fused_multiply_add"]

Array = np.ndarray[Any, Any]

_BINARY: Mapping[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": lambda a, b: np.where(a < b, a, b),
    "max": lambda a, b: np.where(a > b, a, b),
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "shl": np.left_shift,
    "shr": np.right_shift,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def evaluate(
    values: Sequence[Value],
    extents: Sequence[int],
    operands: Sequence[Array],
    accumulator: Array | None = None,
) -> Array:
    """The last of `values` for every element of axes with these extents.

    Parameters
    ----------
    values
        As in `Operator.values`.
    extents
        Of all axes.
    operands
        Bytes of each, from its first element to the end of the memory that it lies in.
    accumulator
        What `acc` stands for.
    """
    done: list[Array] = []
    for operation, dtype, *arguments in values:
        if dtype == "bfloat16":
            raise ValueError("the oracle is one of integers and float32")
        if operation == "acc":
            assert accumulator is not None
            done.append(accumulator.reshape(tuple(extents)))
        elif operation == "load":
            operand, offset, steps = arguments
            elements = _elements(operands[operand], dtype)
            place = _places(offset, steps, extents)
            done.append(elements[np.clip(place, 0, elements.size - 1)])
        elif operation == "index":
            done.append(_places(*arguments, extents).astype(dtype))
        elif operation == "const":
            done.append(np.full((1,) * len(extents), arguments[0], dtype))
        else:
            done.append(_computed(operation, dtype, [done[i] for i in arguments]))
    return np.broadcast_to(done[-1], tuple(extents))


def fused_multiply_add(a: Array, b: Array, c: Array) -> Array:
    """`a * b + c` of float32, rounded once.

    The product is exact in float64. The sum is made odd where it is not exact, so that rounding it
    to float32 sees on which side of a half it is.
    """
    product, addend = a.astype(np.float64) * b, c.astype(np.float64)
    total = np.asarray(product + addend)
    part = total - product
    lost = (product - (total - part)) + (addend - part)
    even = (total.view(np.int64) & 1) == 0
    odd = np.nextafter(total, np.copysign(np.inf, lost))
    return np.where((lost != 0) & even, odd, total).astype(np.float32)


def _computed(operation: str, dtype: str, arguments: Sequence[Array]) -> Array:
    if operation == "cast":
        (value,) = arguments
        if value.dtype.kind == "f" and np.dtype(dtype).kind in "iu":
            return np.trunc(value).astype(np.int32).astype(dtype)
        return value.astype(dtype)
    if operation == "fma":
        return fused_multiply_add(*arguments)
    if operation == "select":
        condition, yes, no = arguments
        return np.where(condition != 0, yes, no)
    return np.asarray(_BINARY[operation](*arguments)).astype(dtype)


def _places(offset: int, steps: Sequence[int], extents: Sequence[int]) -> Array:
    """`offset + sum(steps * axes)`, with one element along axes whose step is 0."""
    place = np.full((1,) * len(extents), offset, np.int64)
    for axis, (step, extent) in enumerate(zip(steps, extents, strict=True)):
        if step:
            shape = [extent if i == axis else 1 for i in range(len(extents))]
            place = place + (step * np.arange(extent)).reshape(shape)
    return place


def _elements(memory: Array, dtype: str) -> Array:
    """As many whole elements as there are."""
    size = np.dtype(dtype).itemsize
    return memory[: memory.size // size * size].view(dtype)
