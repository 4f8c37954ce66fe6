"""The partitioner's verdict on every kernel of a model."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hetcomp.devices import Verdict
from hetcomp.schedules.half import Halves
from hetcomp.schedules.opaque import OPAQUE
from hetcomp.schedules.program import NotStaged, Pitches, parse
from hetcomp.schedules.scheduled import Scheduled

from .operators import Operator
from .recognise import recognise
from .refused import Refused

__all__ = ["OperatorReader"]


@dataclass(frozen=True)
class _Reading:
    operator: Operator | None
    verdict: Verdict


class OperatorReader:
    """Reads each kernel's function once; tasks share what was read."""

    def __init__(self) -> None:
        self._readings: dict[int, _Reading] = {}

    def read(
        self,
        kernel: int,
        scheduled: Scheduled,
        func: tirx.PrimFunc,
        constants: frozenset[int],
        pitches: Pitches,
        halves: Halves,
    ) -> tuple[Operator | None, Verdict]:
        """The operator of a kernel, None where it is none, and the verdict.

        Parameters
        ----------
        kernel
            Index of the kernel, under which it is remembered.
        scheduled, func, constants, pitches, halves
            The kernel, its function, the positions of constants, and what of the parameters are
            slices, or in 16 bits.
        """
        if kernel not in self._readings:
            self._readings[kernel] = _read(scheduled, func, constants, pitches, halves)
        reading = self._readings[kernel]
        return reading.operator, reading.verdict


def _read(
    scheduled: Scheduled,
    func: tirx.PrimFunc,
    constants: frozenset[int],
    pitches: Pitches,
    halves: Halves,
) -> _Reading:
    if scheduled.kind == OPAQUE:
        return _Reading(None, Verdict(False, "its kernel is TVM's own"))
    try:
        operator = recognise(parse(func, pitches, halves), constants)
    except (NotStaged, Refused) as reason:
        return _Reading(None, Verdict(False, str(reason)))
    return _Reading(operator, Verdict(True, ""))
