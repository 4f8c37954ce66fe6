"""Sums of bytes, or of a core's accumulator, times constants: what values are before rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hetcomp.npu.refused import Refused

__all__ = ["ACCUMULATOR", "Sum"]

Array = np.ndarray[Any, Any]

ACCUMULATOR = "acc"
"""Name of the accumulator among bytes."""


@dataclass(frozen=True)
class Sum:
    """`offset + sum(factors[name] * bytes of that name)`.

    Factors and offset are float64: one number, or one per element of the output's last axis.
    """

    factors: Mapping[str, Array]
    offset: Array

    @staticmethod
    def constant(number: Any) -> Sum:
        """A sum of nothing but its offset."""
        return Sum({}, np.asarray(number, np.float64))

    @staticmethod
    def of(name: str) -> Sum:
        """These bytes themselves."""
        return Sum({name: np.float64(1.0)}, np.float64(0.0))

    @property
    def is_constant(self) -> bool:
        """Whether it reads nothing."""
        return not self.factors

    @property
    def bytes_itself(self) -> str:
        """The name of the bytes that it is, "" where it is more."""
        plain = len(self.factors) == 1 and not np.any(self.offset)
        name = next(iter(self.factors), "")
        return name if plain and np.all(self.factors[name] == 1.0) else ""

    def plus(self, other: Sum) -> Sum:
        """The sum of both."""
        factors = dict(self.factors)
        for name, factor in other.factors.items():
            factors[name] = factors[name] + factor if name in factors else factor
        return Sum(factors, self.offset + other.offset)

    def times(self, other: Sum) -> Sum:
        """The product, where one of both is constant."""
        if self.is_constant:
            return other.scaled(self.offset)
        if other.is_constant:
            return self.scaled(other.offset)
        raise Refused("it multiplies activations with each other")

    def over(self, other: Sum) -> Sum:
        """The quotient by a constant."""
        if not other.is_constant:
            raise Refused("it divides by activations")
        return self.scaled(1.0 / other.offset)

    def scaled(self, number: Array) -> Sum:
        """Every part times `number`."""
        factors = {name: factor * number for name, factor in self.factors.items()}
        return Sum(factors, self.offset * number)

    def number(self) -> float:
        """The constant, where it is one number."""
        if not self.is_constant or np.unique(self.offset).size != 1:
            raise Refused("it limits or rounds by numbers that vary")
        return float(np.ravel(self.offset)[0])
