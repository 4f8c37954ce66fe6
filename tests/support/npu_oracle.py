"""Region programs in NumPy, with exact integers: what a driver has to compute bit for bit.

Written from the definition in `hetcomp.npu.operators` alone; shares no code with a driver. Sums of
products go through float64, where those of bytes are exact (below 2^53 for depths below 2^37).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from npu_oracle_values import evaluate
from numpy.lib.stride_tricks import as_strided

from hetcomp.npu.operators import Operator, Product, Reduction, WindowProduct

__all__ = ["compute"]

Array = np.ndarray[Any, Any]
_WORD = 4


def compute(operator: Operator, operands: Sequence[Array], output: Array) -> None:
    """Compute an operator.

    Parameters
    ----------
    operator
        What to compute, on integers.
    operands
        Bytes of each, from its first element to the end of the memory that it lies in.
    output
        Bytes of its output likewise; written to.
    """
    accumulator = _accumulator(operator, operands)
    result = evaluate(operator.values, operator.shape, operands, accumulator)
    rows = result.reshape(-1, operator.shape[-1])
    size = rows.itemsize
    place = as_strided(output, (len(rows), rows.shape[1] * size), (operator.output_pitch * size, 1))
    place[...] = np.ascontiguousarray(rows).view(np.uint8)


def _accumulator(operator: Operator, operands: Sequence[Array]) -> Array | None:
    core = operator.core
    if isinstance(core, Reduction):
        return _reduced(core, operator.shape, operands)
    if core is None:
        return None
    if core.dtype != "int32":
        raise ValueError("the oracle multiplies bytes only")
    if isinstance(core, Product):
        return _products(core, operands)
    return _windows(core, operator.kind == "depthwise", operator.shape[-1], operands)


def _reduced(core: Reduction, shape: Sequence[int], operands: Sequence[Array]) -> Array:
    terms = evaluate(core.values, (*shape, *core.extents), operands)
    terms = terms.reshape(*shape, -1).astype(core.dtype)
    first = np.full((*shape, 1), core.init, core.dtype)
    every = np.concatenate([first, terms], axis=-1)
    if core.combiner in ("max", "min"):
        return np.asarray(every.max(axis=-1) if core.combiner == "max" else every.min(axis=-1))
    assert core.dtype != "float32", "floats have no exact sum"
    combine = np.sum if core.combiner == "sum" else np.prod
    return np.asarray(combine(every, axis=-1, dtype=core.dtype))


def _summed(left: Array, right: Array) -> Array:
    """Products of unsigned and signed bytes, summed in int32."""
    return np.matmul(left.astype(np.float64), right.astype(np.float64)).astype(np.int64)


def _words(memory: Array, shape: Sequence[int], steps: Sequence[int]) -> Array:
    """`[..., depth, columns]` signed bytes of words `[..., depth / 4, columns]` in memory."""
    lead, (words, columns) = shape[:-2], shape[-2:]
    strides = [step * _WORD for step in steps]
    found = as_strided(memory.view(np.int8), (*shape, _WORD), (*strides, columns * _WORD, _WORD, 1))
    return np.moveaxis(found, -1, -2).reshape(*lead, words * _WORD, columns)


def _products(core: Product, operands: Sequence[Array]) -> Array:
    shape = (*core.batch, core.rows, core.depth)
    left = as_strided(operands[core.left], shape, (*core.left_steps, core.left_pitch, 1))
    words = (*core.batch, core.depth // _WORD, core.columns)
    return _summed(left, _words(operands[core.right], words, core.right_steps)).astype(np.int32)


def _windows(core: WindowProduct, depthwise: bool, channels: int, operands: Array) -> Array:
    padded = _padded(core, channels if depthwise else core.groups * core.depth, operands[core.data])
    taps = (core.kernel_h, core.kernel_w)
    if depthwise:
        size = math.prod(taps) * channels
        weights = operands[core.weights][:size].view(np.int8).reshape(*taps, channels)
    else:
        words = (*taps, core.depth // _WORD, channels)
        steps = [math.prod(words[1:]), math.prod(words[2:])]
        weights = _words(operands[core.weights], words, steps)
    total = np.zeros((core.batch, core.out_height, core.out_width, channels), np.int64)
    for kh, kw in np.ndindex(*taps):
        pixels = _tap(core, padded, kh, kw)
        total += (
            pixels * weights[kh, kw].astype(np.int64)
            if depthwise
            else _grouped(core, pixels, weights[kh, kw])
        )
    return total.astype(np.int32)


def _padded(core: WindowProduct, channels: int, memory: Array) -> Array:
    """The map with what windows read around it."""
    pitch = core.data_pitch
    steps = (core.height * core.width * pitch, core.width * pitch, pitch, 1)
    pixels = as_strided(memory, (core.batch, core.height, core.width, channels), steps)
    bottom = _reach(core.out_height, core.stride_h, core.kernel_h, core.dilation_h) - core.height
    right = _reach(core.out_width, core.stride_w, core.kernel_w, core.dilation_w) - core.width
    around = (
        (core.pad_top, max(0, bottom - core.pad_top)),
        (core.pad_left, max(0, right - core.pad_left)),
    )
    return np.pad(pixels, ((0, 0), *around, (0, 0)), constant_values=core.pad_value)


def _reach(outputs: int, stride: int, taps: int, dilation: int) -> int:
    return (outputs - 1) * stride + (taps - 1) * dilation + 1


def _tap(core: WindowProduct, padded: Array, kh: int, kw: int) -> Array:
    top, left = kh * core.dilation_h, kw * core.dilation_w
    rows = slice(top, top + core.stride_h * (core.out_height - 1) + 1, core.stride_h)
    columns = slice(left, left + core.stride_w * (core.out_width - 1) + 1, core.stride_w)
    return padded[:, rows, columns]


def _grouped(core: WindowProduct, pixels: Array, weights: Array) -> Array:
    """One tap's products of each group of input channels with its output channels."""
    parts = zip(
        np.split(pixels, core.groups, axis=-1),
        np.split(weights, core.groups, axis=-1),
        strict=True,
    )
    return np.concatenate([_summed(part, own) for part, own in parts], axis=-1)
