"""A program on float16 as one on float32 whose parameters lie in 16 bits.

So models in float16 take the kernels of `--precision f16`, on every processor, whether it computes
in float16 or not. Nothing is rounded within a task but what is stored. Other than there, an
infinity is stored as one, and so is what exceeds the largest number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tvm_ffi
from tvm import ir, tirx
from tvm.ir.expr import TensorLoad

from .expression import Translator, as_dtype, dtype_of
from .half import FLOAT16
from .program import NotStaged, Program, Stage

__all__ = ["in_float32"]

_HALF, _SINGLE = "float16", "float32"
_REINTERPRET = tirx.reinterpret("uint16", tirx.const(0.0, _HALF)).op.name
_LOWEST, _HIGHEST = tirx.min_value(_HALF).value, tirx.max_value(_HALF).value
"""Where a maximum and a minimum of float16 start."""


def in_float32(program: Program) -> Program:
    """`program` with float32 for each float16; itself where there is none.

    Raises
    ------
    NotStaged
        If it looks at the bits of a float16.
    """
    buffers = [*program.params, *(stage.buffer for stage in program.stages)]
    if not any(_is_half(buffer.dtype) for buffer in buffers):
        return program
    wide = _Buffers()
    own = {i: FLOAT16 for i, buffer in enumerate(program.params) if _is_half(buffer.dtype)}
    return replace(
        program,
        stages=tuple(_stage(stage, wide) for stage in program.stages),
        inputs=tuple(map(wide, program.inputs)),
        outputs=tuple(map(wide, program.outputs)),
        halves={**own, **program.halves},
    )


def _stage(stage: Stage, wide: _Buffers) -> Stage:
    translate = _Widener(wide)
    init = stage.init if stage.init is None else _start(stage.combiner, translate(stage.init))
    return replace(stage, buffer=wide(stage.buffer), value=translate(stage.value), init=init)


def _start(combiner: str | None, init: Any) -> Any:
    """Where a maximum or minimum starts: below or above all that float32 can be."""
    if not isinstance(init, tirx.FloatImm):
        return init
    if combiner == "max" and init.value == _LOWEST:
        return tirx.min_value(_SINGLE)
    if combiner == "min" and init.value == _HIGHEST:
        return tirx.max_value(_SINGLE)
    return init


class _Buffers:
    """The float32 buffer for each float16 one; others are their own."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Any]] = []

    def __call__(self, buffer: Any) -> Any:
        if not _is_half(buffer.dtype):
            return buffer
        for old, new in self._pairs:
            if old.same_as(buffer):
                return new
        new = tirx.decl_buffer(list(buffer.shape), _SINGLE, name=buffer.name)
        self._pairs.append((buffer, new))
        return new


class _Widener(Translator):
    """Translates expressions from float16 to float32, casts between the two becoming nothing."""

    def __init__(self, wide: _Buffers) -> None:
        super().__init__([], None)
        self._wide = wide

    def __call__(self, expr: Any) -> Any:
        """The translated expression; what has no float16 in it stays as it is."""
        if not _holds_half(expr):
            return expr
        if isinstance(expr, TensorLoad):
            return self._read(expr)
        if isinstance(expr, tirx.FloatImm):
            return tirx.FloatImm(_SINGLE, expr.value)
        if isinstance(expr, tirx.Cast):
            return as_dtype(self(expr.value), _wide_type(dtype_of(expr)))
        if isinstance(expr, ir.Call):
            return self._operation(expr)
        if isinstance(expr, tirx.Let):
            raise NotStaged("it binds a float16 to a variable")
        return super().__call__(expr)

    def _read(self, load: Any) -> Any:
        if any(map(_holds_half, load.indices)):
            raise NotStaged("it reads where a float16 says")
        return self._wide(load.source)[tuple(load.indices)]

    def _operation(self, call: Any) -> Any:
        if call.op.name == _REINTERPRET:
            raise NotStaged("it takes a float16 for bits")
        kind = ir.PrimType(_wide_type(dtype_of(call)))
        return ir.Call(call.op, list(map(self, call.args)), attrs=call.attrs, ret_ty=kind)


def _holds_half(expr: Any) -> bool:
    """Whether `expr` computes or reads float16 somewhere."""
    found: list[bool] = []
    kinds = (ir.Call, tirx.Cast, tirx.FloatImm, TensorLoad)
    tvm_ffi.structural_walk(expr, (kinds, lambda node: found.append(_is_half(dtype_of(node)))))
    return any(found)


def _is_half(dtype: Any) -> bool:
    return str(dtype) == _HALF


def _wide_type(dtype: str) -> str:
    return _SINGLE if _is_half(dtype) else dtype
