"""Recognise a fused function as an operator: what an NPU takes, and why not the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tvm import tirx

from hetcomp.schedules.blocks.epilogue import anchor_operands
from hetcomp.schedules.blocks.window import window_of
from hetcomp.schedules.half import BF16
from hetcomp.schedules.program import NotStaged, Program, Stage

from .affine import Affine, Bindings
from .operators import Core, Operator, Product, Reduction, Value, WindowProduct
from .refused import Refused
from .values import TYPES, ValueReader

__all__ = ["recognise"]

_WORD, _PAIR = 4, 2
"""What the depth of products of bytes, and of bfloat16, is a multiple of."""
_KINDS: Mapping[str, str] = {
    "int8_conv2d": "conv2d",
    "int8_depthwise": "depthwise",
    "int8_linear": "linear",
    "int8_matmul": "matmul",
}
"""Kinds by anchor, on bytes."""
_FLOAT_KINDS: Mapping[str, str] = {"conv2d": "conv2d", "matmul": "linear"}
"""Kinds by anchor, on bfloat16."""


def recognise(program: Program, constants: frozenset[int]) -> Operator:
    """Read a fused function as an operator.

    Parameters
    ----------
    program
        The function's stages.
    constants
        Positions of parameters that are constants.

    Returns
    -------
    Operator
        Its operands and output are positions of parameters. Those that `packings` names are
        expected in that packing.

    Raises
    ------
    Refused
        The function is more than one operator, or computes what has no exact form.
    """
    _check_tensors(program)
    core_stage = _core_stage(program)
    kind = "map" if core_stage is None else _kind(program, core_stage)
    core = None if core_stage is None else _core(program, core_stage, kind, constants)
    final = program.stages[-1]
    output = len(program.params) - 1
    return Operator(
        kind=kind,
        shape=final.shape,
        operands=tuple(range(output)),
        output=output,
        output_pitch=_pitch(program, output),
        core=core,
        values=_values(program, final, core_stage),
    )


def _check_tensors(program: Program) -> None:
    if len(program.outputs) != 1 or not program.is_output(program.stages[-1].buffer):
        raise Refused("it has several outputs")
    if any(form is not BF16 for form in program.halves.values()):
        raise Refused("its tensors are float16")
    if not program.stages[-1].shape:
        raise Refused("its output is a scalar")
    for param in program.params:
        if str(param.dtype) not in TYPES:
            raise Refused(f"a tensor of it is {param.dtype}")


def _core_stage(program: Program) -> Stage | None:
    found = [stage for stage in program.stages if stage.reduce]
    if len(found) > 1:
        raise Refused("it reduces more than once")
    return found[0] if found else None


def _kind(program: Program, stage: Stage) -> str:
    if stage.anchor is None:
        return "reduce"
    kind = _KINDS.get(stage.anchor)
    if kind is None and program.halves:
        kind = _FLOAT_KINDS.get(stage.anchor)
    if kind is None:
        what = "bfloat16" if program.halves else "bytes"
        raise Refused(f"{stage.anchor} computes in {stage.buffer.dtype}, not on {what}")
    return kind


def _core(program: Program, stage: Stage, kind: str, constants: frozenset[int]) -> Core:
    if kind == "reduce":
        return _reduction(program, stage)
    try:
        return _product(program, stage, kind, constants)
    except NotStaged as reason:
        raise Refused(str(reason)) from reason


def _pitch(program: Program, position: int) -> int:
    shape = program.memory_shape(position)
    return shape[-1] if shape else 1


def _values(program: Program, final: Stage, core: Stage | None) -> tuple[Value, ...]:
    """What becomes of the accumulator of `core`."""
    loader = _Loader(program, core)
    reader = ValueReader(final.shape, loader)
    last = loader.stage(reader, final, _own_axes(final.shape))
    if len(program.params) - 1 in program.halves:
        last = reader.add("cast", "bfloat16", last)
    return reader.finished(last)


def _own_axes(extents: Sequence[int]) -> tuple[Affine, ...]:
    return tuple(Affine.axis(i, extents) for i in range(len(extents)))


class _Loader:
    """Resolves loads: parameters to elements, stages to their values, the core to `acc`."""

    def __init__(self, program: Program, core: Stage | None) -> None:
        self._program, self._core = program, core
        self._known: dict[tuple[int, tuple[Affine, ...]], int] = {}

    def __call__(self, reader: ValueReader, buffer: Any, indices: tuple[Affine, ...]) -> int:
        stage = self._program.stage_of(buffer)
        return (
            self._element(reader, buffer, indices)
            if stage is None
            else self.stage(reader, stage, indices)
        )

    def stage(self, reader: ValueReader, stage: Stage, at: tuple[Affine, ...]) -> int:
        """The value of a stage's element."""
        if stage is self._core:
            if at != _own_axes(reader.extents) or stage.shape != reader.extents:
                raise Refused("the output of its product or reduction is moved within the task")
            return reader.add("acc", str(stage.buffer.dtype))
        key = (next(i for i, s in enumerate(self._program.stages) if s is stage), at)
        if key not in self._known:
            bindings = [(axis.var, place) for axis, place in zip(stage.spatial, at, strict=True)]
            self._known[key] = reader.read(stage.value, bindings)
        return self._known[key]

    def _element(self, reader: ValueReader, buffer: Any, indices: tuple[Affine, ...]) -> int:
        position = _position(self._program, buffer)
        place = Affine(0, (0,) * len(reader.extents))
        for extent, index in zip(self._program.memory_shape(position), indices, strict=True):
            place = place.times(extent).plus(index)
        where = (position, place.offset, place.steps)
        if position in self._program.halves:
            return reader.add("cast", "float32", reader.add("load", "bfloat16", *where))
        return reader.add("load", str(buffer.dtype), *where)


def _position(program: Program, buffer: Any) -> int:
    return next(i for i, param in enumerate(program.params) if param.same_as(buffer))


def _reduction(program: Program, stage: Stage) -> Reduction:
    dtype = str(stage.buffer.dtype)
    combiner = str(stage.combiner)
    if combiner in ("sum", "prod") and dtype == "float32":
        raise Refused("it sums floats, in an order that is each kernel's own")
    extents = (*stage.shape, *(axis.extent for axis in stage.reduce))
    reader = ValueReader(extents, _Loader(program, None))
    axes = zip((*stage.spatial, *stage.reduce), _own_axes(extents), strict=True)
    bindings: Bindings = [(axis.var, place) for axis, place in axes]
    values = reader.finished(reader.read(stage.value, bindings))
    return Reduction(
        combiner, dtype, _init(stage.init), tuple(axis.extent for axis in stage.reduce), values
    )


def _init(expr: Any) -> float:
    if not isinstance(expr, (tirx.IntImm, tirx.FloatImm)):
        raise Refused("its reduction starts from no constant")
    number = float(expr.value)
    if not math.isfinite(number):
        raise Refused(f"its reduction starts from {number}")
    return number


def _product(program: Program, stage: Stage, kind: str, constants: frozenset[int]) -> Core:
    if kind == "matmul":
        return _matmul(program, stage)
    if stage.anchor in _FLOAT_KINDS:
        return _float_product(program, stage, constants)
    data, weights = anchor_operands(program, stage, ("uint8", "int8"))
    if str(program.params[data].dtype) != "uint8" or weights not in constants:
        raise Refused("it does not multiply unsigned activations with constant signed weights")
    if kind == "linear":
        depth, columns = (int(dim) for dim in program.params[weights].shape)
        rows, pitch = math.prod(stage.shape[:-1]), _pitch(program, data)
        return Product(data, weights, pitch, rows, depth, columns, (), (), ())
    window = window_of(stage)
    depth = int(program.params[weights].shape[2])
    pad_value = int(stage.annotations["hetcomp.pad_value"])
    if kind == "conv2d" and depth % _WORD:
        raise Refused(f"it has {depth} input channels, no multiple of {_WORD}")
    if kind == "depthwise" and (depth != 1 or window.groups != stage.shape[-1]):
        raise Refused("it has several filters per channel")
    return WindowProduct(data, weights, _pitch(program, data), depth, pad_value, **asdict(window))


def _float_product(program: Program, stage: Stage, constants: frozenset[int]) -> Core:
    data, weights = anchor_operands(program, stage)
    if weights not in constants:
        raise Refused("it multiplies two activations in floats")
    if data not in program.halves or weights not in program.halves:
        raise Refused("it multiplies 32-bit floats: what the model is given, or a small constant")
    if stage.annotations.get("hetcomp.nchw_input", 0):
        raise Refused("it reads a map in NCHW")
    *_, depth, columns = (int(dim) for dim in program.params[weights].shape)
    if depth % _PAIR:
        raise Refused(f"it has {depth} input channels, no multiple of {_PAIR}")
    pitch = _pitch(program, data)
    if stage.anchor == "conv2d":
        sizes = asdict(window_of(stage))
        return WindowProduct(data, weights, pitch, depth, 0, **sizes, dtype="float32")
    if len(program.params[weights].shape) != 2:
        raise Refused("its constant is a batch of matrices")
    rows = math.prod(stage.shape[:-1])
    return Product(data, weights, pitch, rows, depth, columns, (), (), (), dtype="float32")


def _matmul(program: Program, stage: Stage) -> Product:
    left, right = anchor_operands(program, stage, ("uint8", "int32"))
    if str(program.params[left].dtype) != "uint8" or str(program.params[right].dtype) != "int32":
        raise Refused("it does not multiply bytes with words")
    *batch, rows, columns = stage.shape
    left_shape, right_shape = (program.memory_shape(p) for p in (left, right))
    return Product(
        left,
        right,
        left_shape[-1],
        rows,
        int(program.params[left].shape[-1]),
        columns,
        tuple(batch),
        _batch_steps(left_shape, len(batch)),
        _batch_steps(right_shape, len(batch)),
    )


def _batch_steps(shape: Sequence[int], axes: int) -> tuple[int, ...]:
    """Elements from one place of each batch axis to the next; 0 where all share one."""
    lead = len(shape) - 2
    steps = [
        math.prod(shape[axis + 1 :]) if extent > 1 else 0
        for axis, extent in enumerate(shape[:lead])
    ]
    return (*(0 for _ in range(axes - lead)), *steps)
