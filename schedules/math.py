"""exp, log, tanh, erf and sigmoid in float32 arithmetic that vectorises on every target.

libm's functions are scalar: a sigmoid network spends most of its time in them. The polynomials
are the well-known Cephes (exp, log) and Eigen (tanh, erf) minimax fits; the same arithmetic runs
on every processor, so a plan does not change the result. Maximum errors against float64, measured
by `tests/schedules/test_math.py` over the whole useful range: exp and log 2e-7 relative, tanh,
erf and sigmoid 4e-7 absolute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import tirx

__all__ = ["APPROXIMATIONS", "erf", "exp", "log", "sigmoid", "tanh"]

_EXP_MIN, _EXP_MAX = -87.33654, 88.37626
_LOG2E = 1.44269504088896341
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 0.16666665459, 0.5)
_SQRT_HALF = 0.70710678118654752
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
    """e**x; the argument is clamped so that the result is finite and normal."""

    def of_clamped(c: Any) -> Any:
        return _let(tirx.floor(c * _f(_LOG2E) + _f(0.5)), lambda n: of_parts(c, n))

    def of_parts(c: Any, n: Any) -> Any:
        rest = c - n * _f(_LN2_HIGH) - n * _f(_LN2_LOW)
        return _let(rest, lambda r: (_poly(r, _EXP) * r * r + r + _f(1.0)) * _power_of_two(n))

    return _let(_clamp(x, _EXP_MIN, _EXP_MAX), of_clamped)


def log(x: Any) -> Any:
    """Natural logarithm; -inf at 0, NaN below."""

    def of_bits(v: Any, bits: Any) -> Any:
        exponent = tirx.Cast("float32", (bits >> tirx.IntImm("int32", 23)) - _i(126))
        mantissa = tirx.reinterpret("float32", (bits & _i(0x007FFFFF)) | _i(0x3F000000))
        return _let(mantissa, lambda m: of_parts(v, m, exponent))

    def of_parts(v: Any, m: Any, exponent: Any) -> Any:
        small = m < _f(_SQRT_HALF)
        e = tirx.Select(small, exponent - _f(1.0), exponent)
        f = tirx.Select(small, m + m, m) - _f(1.0)
        value = _let(f, lambda r: _log_core(r, e))
        low = tirx.Select(v < _f(0.0), _f(float("nan")), _f(float("-inf")))
        return tirx.Select(v > _f(0.0), value, low)

    return _let(x, lambda v: _let(tirx.reinterpret("int32", v), lambda b: of_bits(v, b)))


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return _let(_clamp(x, -_TANH_LIMIT, _TANH_LIMIT), lambda c: _odd_ratio(c, _TANH_P, _TANH_Q))


def erf(x: Any) -> Any:
    """Gauss error function."""
    return _let(_clamp(x, -_ERF_LIMIT, _ERF_LIMIT), lambda c: _odd_ratio(c, _ERF_P, _ERF_Q))


def sigmoid(x: Any) -> Any:
    """1 / (1 + e**-x)."""
    return _f(1.0) / (_f(1.0) + exp(_f(0.0) - x))


APPROXIMATIONS: Mapping[str, Callable[[Any], Any]] = {
    "tirx.exp": exp,
    "tirx.log": log,
    "tirx.tanh": tanh,
    "tirx.erf": erf,
    "tirx.sigmoid": sigmoid,
}
"""float32 intrinsics by TIR operator name."""


def _log_core(r: Any, e: Any) -> Any:
    square = r * r
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


def _power_of_two(n: Any) -> Any:
    bits = (tirx.Cast("int32", n) + _i(127)) << _i(23)
    return tirx.reinterpret("float32", bits)


def _clamp(x: Any, low: float, high: float) -> Any:
    return tirx.min(tirx.max(x, _f(low)), _f(high))


def _let(value: Any, body: Callable[[Any], Any]) -> Any:
    var = tirx.Var("t", value.ty)
    return tirx.Let(var, value, body(var))


def _f(value: float) -> Any:
    return tirx.FloatImm("float32", value)


def _i(value: int) -> Any:
    return tirx.IntImm("int32", value)
