"""Operators of a region program, and their form in JSON, version 1.

An operator computes every element of one output tensor:

1. its *core* makes one number per element, the accumulator: a sum of products of unsigned and
   signed bytes in int32, or of bfloat16 in float32 (`conv2d`, `depthwise`, `linear`, `matmul`), or
   a sum, maximum, minimum or product over a window or an axis (`reduce`); an operator of kind
   `map` has none;
2. its *values* turn the accumulator into the element: a list of scalar operations, each of which
   may use those before it; the last one is stored.

Tensors are those of the task graph, by index, constants included. Maps are NHWC. Right operands of
products are *words*: four signed bytes that follow each other along the multiplied axis, the first
one lowest; `[height][width][depth / 4][columns]` words of a convolution, `[depth / 4][columns]` of
a product. Of bfloat16, words are pairs, the first number lowest. Weights of a depthwise
convolution are `[height][width][channels]` bytes. Zero points are in the values and, for what a
window reads outside of its map, in `pad_value`.

A value is a list: operation, element type, arguments.

======================================  ========================================================
`["acc", t]`                            the accumulator
`["load", t, operand, offset, steps]`   element `offset + sum(steps * axes)` of an operand
`["index", t, offset, steps]`           that number itself
`["const", t, x]`                       a number
`["cast", t, a]`                        value `a` as `t`; integers wrap, floats are truncated
`["fma", t, a, b, c]`                   `a * b + c`, rounded once
`["select", t, a, b, c]`                `b` where `a` is not 0, else `c`
`[op, t, a, b]`                         `add sub mul div min max and or xor shl shr`, and
                                        `eq ne lt le gt ge`, which give 1 or 0
======================================  ========================================================

Sums of bfloat16 have an order. The depth is cut into runs: all of it, for a window the taps of a
row of it, or each tap by itself where there are groups or a horizontal dilation; a run is cut
again after every 32 numbers. Within such a run the numbers at even places have a sum and those at
odd places another, each by fused multiply-adds in float32 from 0 on; both are added, and that to
the accumulator, which starts at 0. Every operation rounds to nearest, ties to even; what is too
small for a normal float32, before an operation or after it, is 0 (Intel's TDPBF16PS). Where a run
ends early, a driver may multiply what lies behind it by 0: so a NaN spreads, and a 0 that comes of
such an underflow may have either sign.

Types are `float32`, `int32`, `int16`, `uint16`, `int8`, `uint8`, `bool` and `bfloat16`: a float32
that is loaded from 16 bits, or, as the last `cast`, rounded to them (`hetcomp.schedules.half`).
The axes are those of the output, in the `values` of a `reduce` followed by those reduced over. A
load whose element lies outside of the operand reads any element: a `select` does not take it.
Every operation rounds, or wraps, in its own type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = [
    "FORMAT_VERSION",
    "Core",
    "Operator",
    "Product",
    "Reduction",
    "Value",
    "WindowProduct",
    "cut_columns",
    "cut_rows",
    "describe",
]

FORMAT_VERSION = 1

Value = tuple[Any, ...]
"""One value in the form of the table above."""


@dataclass(frozen=True)
class WindowProduct:
    """Core of `conv2d` and `depthwise`.

    Attributes
    ----------
    data, weights
        Operands.
    data_pitch
        Elements from one pixel of the map to the next.
    depth
        Input channels that one output channel reads, as many words; 1 for `depthwise`.
    pad_value
        What the map has outside of itself.
    batch ... groups
        As in `hetcomp.schedules.blocks.window.Window`.
    dtype
        In which is summed: `int32`, products of bytes; `float32`, of bfloat16.
    """

    data: int
    weights: int
    data_pitch: int
    depth: int
    pad_value: int
    batch: int
    height: int
    width: int
    out_height: int
    out_width: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int
    groups: int
    dtype: str = "int32"


@dataclass(frozen=True)
class Product:
    """Core of `linear` and `matmul`: `batch` products of `rows` x `depth` by `depth` x `columns`.

    Attributes
    ----------
    left, right
        Operands: unsigned bytes or bfloat16, and words.
    left_pitch
        Elements from one row to the next; words of the right operand lie without gaps.
    batch
        Extents of the batch, outermost first.
    left_steps, right_steps
        Elements, and words, from one place of each of these to the next; 0: the same for all.
    dtype
        In which is summed: `int32`, products of bytes; `float32`, of bfloat16.
    """

    left: int
    right: int
    left_pitch: int
    rows: int
    depth: int
    columns: int
    batch: tuple[int, ...]
    left_steps: tuple[int, ...]
    right_steps: tuple[int, ...]
    dtype: str = "int32"


@dataclass(frozen=True)
class Reduction:
    """Core of `reduce`: `combiner` (`sum`, `max`, `min`, `prod`) of `values`, from `init` on.

    `extents` are those of the axes reduced over, `dtype` the accumulator's type.
    """

    combiner: str
    dtype: str
    init: float
    extents: tuple[int, ...]
    values: tuple[Value, ...]


Core = WindowProduct | Product | Reduction


@dataclass(frozen=True)
class Operator:
    """One task as an operator.

    Attributes
    ----------
    kind
        `conv2d`, `depthwise`, `linear`, `matmul`, `reduce` or `map`.
    shape
        Of the output; its axes are those of `values`.
    operands
        Tensors that it reads, by index in the task graph; as it is made, positions of parameters.
    output
        The tensor that it writes.
    output_pitch
        Elements between rows of the output along its last axis.
    """

    kind: str
    shape: tuple[int, ...]
    operands: tuple[int, ...]
    output: int
    output_pitch: int
    core: Core | None
    values: tuple[Value, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def cut_rows(operator: Operator) -> int:
    """Rows along which the runtime can cut an operator, see `runtime_patches/src/npu/npu_cut.h`.

    Those of the outermost axis of more than one element, the last axis apart; 0 where there is
    none, and where the core does not go along it. Products of floats are not cut: the CPU adds them
    in another order, which would show as a seam.
    """
    if _multiplies_floats(operator):
        return 0
    axis = next((i for i, extent in enumerate(operator.shape[:-1]) if extent > 1), None)
    if axis is None:
        return 0
    if isinstance(operator.core, WindowProduct) and axis != 1:
        return 0
    if isinstance(operator.core, Product) and axis < len(operator.core.batch):
        return 0
    return operator.shape[axis]


def cut_columns(operator: Operator, tile_width: int) -> int:
    """Columns of a channel tile, where the runtime can cut an operator between such tiles; else 0.

    Only products are cut so: what all columns read is the smaller part where weights are large.

    Parameters
    ----------
    operator
        What may be cut.
    tile_width
        Columns of a channel tile of the kernel that shares it.
    """
    if _multiplies_floats(operator):
        return 0
    core = operator.core
    one_group = isinstance(core, WindowProduct) and core.groups == 1
    return tile_width if one_group or isinstance(core, Product) else 0


def _multiplies_floats(operator: Operator) -> bool:
    core = operator.core
    return isinstance(core, (WindowProduct, Product)) and core.dtype == "float32"


def describe(
    operators: Sequence[Operator | None], driver: str, contexts: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """What the file says to NPU drivers: an operator a task, null where they take it not.

    `driver` is the one that the file was compiled for, `contexts` what a vendor's compiler made of
    regions for it.
    """
    listed = [None if operator is None else operator.to_json() for operator in operators]
    return {
        "version": FORMAT_VERSION,
        "driver": driver,
        "operators": listed,
        "contexts": list(contexts),
    }
