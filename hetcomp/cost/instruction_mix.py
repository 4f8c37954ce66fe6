"""What a kernel executes, in numbers of instructions."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["InstructionMix"]


@dataclass(frozen=True)
class InstructionMix:
    """Instructions of a whole task on one core, vector instructions a register each.

    Attributes
    ----------
    vector_ops, vector_heavy
        Arithmetic on vectors; divisions and functions that are calls.
    scalar_ops, scalar_heavy
        The same on single elements.
    vector_loads, vector_stores
        Of neighbouring elements.
    broadcasts
        Loads of one element for all lanes.
    gathered, scattered
        Elements of vectors that are loaded and stored one by one.
    scalar_loads, scalar_stores
        Of single elements.
    index_ops
        Divisions, bounds and choices in indices, where loops cannot be stepped through them.
    gather_bytes, gather_alias
        Sums over gathered elements: bytes to the next one, and the power of two in these.
    crossings
        Vector loads and stores that touch two cache lines.
    iterations
        Of loops.
    """

    vector_ops: float = 0.0
    vector_heavy: float = 0.0
    scalar_ops: float = 0.0
    scalar_heavy: float = 0.0
    vector_loads: float = 0.0
    vector_stores: float = 0.0
    broadcasts: float = 0.0
    gathered: float = 0.0
    scattered: float = 0.0
    scalar_loads: float = 0.0
    scalar_stores: float = 0.0
    index_ops: float = 0.0
    gather_bytes: float = 0.0
    gather_alias: float = 0.0
    crossings: float = 0.0
    iterations: float = 0.0
