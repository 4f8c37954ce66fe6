"""What a kernel's instructions take by themselves, on a core that finds all data in its cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hetcomp.cost.launches import Array, Launches
from hetcomp.cost.roofline import ProcessorFacts

__all__ = ["InstructionTimes", "instruction_times"]

_HEAVY, _SCALAR_HEAVY = 8.0, 4.0
"""Divisions and functions in light operations: of a vector, and of one element."""
_GATHER, _SCATTER = 1.0, 2.0
"""Elements that are loaded or stored one by one, in loads."""
_STORE = 2.0
"""A core stores once while it loads twice."""
_LOOP = 1.0


@dataclass(frozen=True)
class InstructionTimes:
    """Times of n launches in microseconds, shape (n,) each.

    Attributes
    ----------
    arithmetic_us, load_us, store_us, loop_us
        Of the instructions of a kind, as if there were no others.
    """

    arithmetic_us: Array
    load_us: Array
    store_us: Array
    loop_us: Array

    @property
    def total_us(self) -> Array:
        """Arithmetic beside loads, as cores do both at once; then stores and loops."""
        total: Array = np.maximum(self.arithmetic_us, self.load_us) + self.store_us + self.loop_us
        return total


def instruction_times(launches: Launches, processor: ProcessorFacts) -> InstructionTimes:
    """Times of the instructions of `launches`."""
    fact = launches.fact
    lanes = np.maximum(1.0, fact("lanes"))
    slots_per_us = processor.flops_per_us / (2.0 * lanes)
    slot_us = launches.row_share * launches.channel_share / slots_per_us
    arithmetic = (
        fact("vector_ops")
        + fact("scalar_ops")
        + _HEAVY * fact("vector_heavy")
        + _SCALAR_HEAVY * fact("scalar_heavy")
    )
    loads = (
        fact("vector_loads")
        + fact("broadcasts")
        + fact("scalar_loads")
        + fact("crossings")
        + _GATHER * fact("gathered")
    )
    stores = fact("vector_stores") + fact("scalar_stores") + _SCATTER * fact("scattered")
    return InstructionTimes(
        arithmetic_us=arithmetic * slot_us,
        load_us=loads * slot_us,
        store_us=_STORE * stores * slot_us,
        loop_us=_LOOP * fact("iterations") * slot_us,
    )
