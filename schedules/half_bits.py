"""Conversion between float32 and 16 bits by integer arithmetic, for any processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import tirx

__all__ = ["bf16_bits", "f16_bits", "float_of_bf16", "float_of_f16"]


def float_of_bf16(stored: Any) -> Any:
    """The float32 whose upper half `stored`, an uint16, is."""
    return _as_float(_cast(stored, "uint32") << _u32(16))


def float_of_f16(stored: Any) -> Any:
    """The float32 with the value of the float16 whose bits `stored`, an uint16, are."""
    return _let(_cast(stored, "uint32"), _from_f16)


def bf16_bits(value: Any) -> Any:
    """The bfloat16 next to a float32, as an uint16."""
    return _cast(_let(_as_bits(value), _to_bf16), "uint16")


def f16_bits(value: Any) -> Any:
    """The float16 next to a float32, which is no larger than the largest, as an uint16."""
    return _cast(_let(_as_bits(value), _to_f16), "uint16")


def _let(value: Any, body: Callable[[Any], Any]) -> Any:
    """`body(x)` where `x` is `value`, computed once."""
    var = tirx.Var("h", str(value.ty.dtype))
    return tirx.Let(var, value, body(var))


def _to_bf16(bits: Any) -> Any:
    """Adds half of what is cut off, and the last bit that stays, so that ties go to even."""
    upper = (bits + _u32(0x7FFF) + ((bits >> _u32(16)) & _u32(1))) >> _u32(16)
    return tirx.Select((bits & _u32(0x7FFFFFFF)) > _u32(0x7F800000), _u32(0x7FC0), upper)


def _to_f16(bits: Any) -> Any:
    """As bf16, with a smaller exponent; adding 0.5 rounds the numbers that have none."""
    size = bits & _u32(0x7FFFFFFF)
    normal = (size + _u32(0xFFF) + ((size >> _u32(13)) & _u32(1)) - _u32(0x38000000)) >> _u32(13)
    small = _as_bits(_as_float(size) + tirx.FloatImm("float32", 0.5)) - _u32(0x3F000000)
    half = tirx.Select(size < _u32(0x38800000), small, normal)
    number = tirx.Select(size > _u32(0x7F800000), _u32(0x7E00), half)
    return number | ((bits >> _u32(16)) & _u32(0x8000))


def _from_f16(bits: Any) -> Any:
    """The exponent is corrected by a multiplication, which serves the smallest numbers too."""
    size = (bits & _u32(0x7FFF)) << _u32(13)
    number = _as_bits(_as_float(size) * tirx.FloatImm("float32", 2.0**112))
    finite = tirx.Select(size < _u32(0x0F800000), number, size | _u32(0x7F800000))
    return _as_float(finite | ((bits & _u32(0x8000)) << _u32(16)))


def _as_bits(value: Any) -> Any:
    return tirx.reinterpret(_like(value, "uint32"), value)


def _as_float(bits: Any) -> Any:
    return tirx.reinterpret(_like(bits, "float32"), bits)


def _cast(value: Any, kind: str) -> Any:
    return tirx.Cast(_like(value, kind), value)


def _like(value: Any, kind: str) -> str:
    """`kind` with as many lanes as `value`."""
    lanes = value.ty.dtype.lanes
    return f"{kind}x{lanes}" if lanes > 1 else kind


def _u32(value: int) -> Any:
    return tirx.const(value, "uint32")
