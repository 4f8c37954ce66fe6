"""The oracle of region programs: its own arithmetic, by exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from npu_oracle_values import evaluate, fused_multiply_add


def nearest(exact: Fraction) -> np.float32:
    """The float32 next to `exact`; of two, the one whose last bit is 0."""
    guess = np.float32(float(exact))
    near = [np.nextafter(guess, np.float32(end)) for end in (-np.inf, np.inf)]
    return min(
        (guess, *near), key=lambda x: (abs(Fraction(float(x)) - exact), int(x.view(np.int32)) & 1)
    )


def test_a_product_and_sum_are_rounded_once() -> None:
    """Among them sums that float64 takes for halves of a last bit, and that are not."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(500).astype(np.float32) for _ in range(3))
    half = np.float32(1 + 2.0**-12)  # its square is 1 + 2^-11 + 2^-24
    for tiny in (2.0**-60, -(2.0**-60), 0.0):
        a, b, c = (np.append(x, np.float32(y)) for x, y in ((a, half), (b, half), (c, tiny)))
    expected = [
        nearest(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)))
        for x, y, z in zip(a, b, c, strict=True)
    ]
    np.testing.assert_array_equal(fused_multiply_add(a, b, c), np.array(expected, np.float32))
    twice = (a.astype(np.float64) * b + c).astype(np.float32)
    assert (twice != expected).any()


def test_integers_wrap_and_loads_outside_are_not_taken() -> None:
    memory = np.array([250, 7], np.uint8)
    values = (
        ("load", "uint8", 0, -1, (1,)),
        ("index", "int32", 0, (1,)),
        ("const", "int32", 0),
        ("eq", "bool", 1, 2),
        ("const", "uint8", 9),
        ("select", "uint8", 3, 4, 0),
        ("add", "uint8", 5, 5),
    )
    np.testing.assert_array_equal(evaluate(values, (3,), [memory]), [18, 244, 14])
