"""exp, log, tanh, erf and sigmoid in float32 arithmetic that vectorises on every target.

libm's functions are scalar: a sigmoid network spends most of its time in them. The polynomials
are the well-known Cephes (exp, log) and Eigen (tanh, erf) minimax fits; the same arithmetic runs
on every processor, so a plan does not change the result. Maximum errors against float64, checked
by `tests/schedules/test_math.py` over the whole useful range: exp and log 2e-7 relative, tanh,
erf and sigmoid 4e-7 absolute. NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import tirx

__all__ = ["APPROXIMATIONS", "erf", "exp", "log", "sigmoid", "tanh"]

_EXP_MIN, _EXP_MAX = -86.98, 89.0
_LOG2E = 1.44269504088896341
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_ROUND = 1.5 * 2.0**23
"""Added and taken away again it rounds to a whole number. PoCL's floor() is ten instructions."""
_EXP = (3.9751383e-4, 2.7963999014e-3, 1.66669038146e-2, 8.3331591788e-2, 0.33333330918, 1.0)
"""Twice Cephes' coefficients."""
_SQRT_HALF_BITS = 0x3F3504F3
_FLOAT_MAX = 3.4028234663852886e38
_LOG = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
    *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
_TANH_LIMIT = 7.90531110763549805
_TANH_P = (
    *(-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08),
    *(1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03),
)
_TANH_Q = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
_ERF_LIMIT = 4.0
_ERF_P = (
    *(-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05),
    *(-7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02),
)
_ERF_Q = (
    *(-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03),
    *(-7.37332916720468e-03, -1.42647390514189e-02),
)


def exp(x: Any) -> Any:
    """e**x; infinite from 88.73 on, 0 below -86.98 (e**-86.98 is 1.7e-38)."""

    def of_value(v: Any) -> Any:
        power = _let(_at_most(v, _EXP_MAX), of_clamped)
        return tirx.Select(v < _f(_EXP_MIN), _f(0.0), power)

    def of_clamped(c: Any) -> Any:
        # Two statements, or TVM would cancel the constants.
        shifted = c * _f(_LOG2E) + _f(_ROUND)
        return _let(shifted, lambda s: _let(s - _f(_ROUND), lambda n: of_parts(c, n)))

    def of_parts(c: Any, n: Any) -> Any:
        # Twice e**r times 2**(n-1), because 2**128 has no float.
        rest = c - n * _f(_LN2_HIGH) - n * _f(_LN2_LOW)
        return _let(rest, lambda r: (_poly(r, _EXP) * r * r + r * 2.0 + 2.0) * _half_power(n))

    return _let(x, of_value)


def log(x: Any) -> Any:
    """Natural logarithm; -inf at 0, NaN below. Subnormal arguments count as about 1e-38."""

    def of_bits(v: Any, bits: Any) -> Any:
        exponent = (bits - _i(_SQRT_HALF_BITS)) >> _i(23)
        return _let(exponent, lambda e: of_exponent(v, bits, e))

    def of_exponent(v: Any, bits: Any, e: Any) -> Any:
        mantissa = tirx.reinterpret("float32", bits - (e << _i(23)))
        value = _let(mantissa - _f(1.0), lambda r: _log_core(r, e))
        low = tirx.Select(v.equal(_f(0.0)), _f(float("-inf")), _f(float("nan")))
        high = tirx.Select(v <= _f(_FLOAT_MAX), value, v)
        return tirx.Select(v > _f(0.0), high, low)

    return _let(x, lambda v: _let(tirx.reinterpret("int32", v), lambda b: of_bits(v, b)))


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return _within(x, _TANH_LIMIT, lambda c: _odd_ratio(c, _TANH_P, _TANH_Q))


def erf(x: Any) -> Any:
    """Gauss error function."""
    return _within(x, _ERF_LIMIT, lambda c: _odd_ratio(c, _ERF_P, _ERF_Q))


def sigmoid(x: Any) -> Any:
    """1 / (1 + e**-x), as half of tanh(x / 2) and a half: two thirds of the time of exp."""
    return tanh(x * _f(0.5)) * _f(0.5) + _f(0.5)


APPROXIMATIONS: Mapping[str, Callable[[Any], Any]] = {
    "tirx.exp": exp,
    "tirx.log": log,
    "tirx.tanh": tanh,
    "tirx.erf": erf,
    "tirx.sigmoid": sigmoid,
}
"""float32 intrinsics by TIR operator name."""


def _log_core(r: Any, exponent: Any) -> Any:
    e, square = tirx.Cast("float32", exponent), r * r
    tail = _poly(r, _LOG) * r * square + e * _f(_LN2_LOW) - square * _f(0.5)
    return r + tail + e * _f(_LN2_HIGH)


def _odd_ratio(x: Any, p: Sequence[float], q: Sequence[float]) -> Any:
    return _let(x * x, lambda s: x * _poly(s, p) / _poly(s, q))


def _poly(x: Any, coefficients: Sequence[float]) -> Any:
    """Horner's scheme, highest power first."""
    value: Any = _f(coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + _f(coefficient)
    return value


def _half_power(n: Any) -> Any:
    """2**(n-1) for n from -125 to 128."""
    bits = (tirx.Cast("int32", n) + _i(126)) << _i(23)
    return tirx.reinterpret("float32", bits)


def _within(x: Any, limit: float, body: Callable[[Any], Any]) -> Any:
    """`body` of x clamped to [-limit, limit]."""
    return _let(x, lambda v: _let(_at_most(v, limit), lambda c: _let(_at_least(c, -limit), body)))


def _at_most(v: Any, limit: float) -> Any:
    """The smaller of both, or v where it is NaN: TVM's own min and max lose a NaN."""
    return tirx.Select(v > _f(limit), _f(limit), v)


def _at_least(v: Any, limit: float) -> Any:
    return tirx.Select(v < _f(limit), _f(limit), v)


def _let(value: Any, body: Callable[[Any], Any]) -> Any:
    var = tirx.Var("t", value.ty)
    return tirx.Let(var, value, body(var))


def _f(value: float) -> Any:
    return tirx.FloatImm("float32", value)


def _i(value: int) -> Any:
    return tirx.IntImm("int32", value)
