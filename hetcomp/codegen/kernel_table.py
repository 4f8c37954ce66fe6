"""The kernels of a module: each fused function scheduled once for each way that it is called."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tvm import tirx

from hetcomp.passes.relax_values import constant_value
from hetcomp.plan.graph import Kernel
from hetcomp.schedules.choice import DIRECT, Choice
from hetcomp.schedules.facts import DeviceFacts, GroupFacts
from hetcomp.schedules.footprint import ElementSpan, footprints
from hetcomp.schedules.half import Halves
from hetcomp.schedules.program import Pitches
from hetcomp.schedules.scheduled import Scheduled
from hetcomp.schedules.select import schedule

from .lowered_kernel import LoweredKernel, kernel_record, lowered_kernel

__all__ = ["Choose", "Chosen", "KernelTable"]


@dataclass(frozen=True)
class Chosen:
    """Parameters of one kernel, None for the template's own, and a word on that for `explain`."""

    choice: Choice | None
    why: str


Choose = Callable[[tirx.PrimFunc, frozenset[int], Scheduled], Chosen]
"""Chooses the parameters of a fused function with constants at some positions, given its default
schedule."""


@dataclass
class KernelTable:
    """Schedules of a module's functions.

    Attributes
    ----------
    mod
        Where calls find their functions.
    facts, groups
        Register file of the CPU; an OpenCL device of class `gpu`, or None.
    gpu
        Whether OpenCL kernels will be generated.
    direct
        Keep to direct methods.
    choose
        Chooses parameters; None leaves them to the templates.
    kernels, records, footprints
        What was scheduled, one of each for a kernel.
    """

    mod: Any
    facts: DeviceFacts
    groups: GroupFacts | None
    gpu: bool
    direct: bool
    choose: Choose | None
    kernels: list[LoweredKernel] = field(default_factory=list)
    records: list[Kernel] = field(default_factory=list)
    footprints: list[tuple[ElementSpan | None, ...]] = field(default_factory=list)
    _index_of: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _default_of: dict[tuple[str, frozenset[int]], Scheduled] = field(default_factory=dict)

    def default(self, call: Any) -> Scheduled:
        """The schedule of a `call_tir` on whole tensors."""
        function = call.args[0]
        arrays = [constant_value(arg) for arg in call.args[1].fields]
        constants = frozenset(i for i, array in enumerate(arrays) if array is not None)
        key = (function.name_hint, constants)
        if key not in self._default_of:
            self._default_of[key] = self._schedule(self.mod[function], constants)[0]
        return self._default_of[key]

    def index(
        self, name: str, func: tirx.PrimFunc, constants: frozenset[int], pitches: Pitches,
        halves: Halves,
    ) -> int:  # fmt: skip
        """The kernel of a function with constants at some positions, made at the first call."""
        key = (name, constants, tuple(sorted(pitches.items())), tuple(halves))
        if key not in self._index_of:
            scheduled, tuned = self._schedule(func, constants, pitches, halves)
            symbol = f"k{len(self.kernels)}_{scheduled.kind}"
            self._index_of[key] = len(self.kernels)
            kernel = lowered_kernel(symbol, scheduled, self.groups)
            why = "" if self.gpu else "compiled without OpenCL kernels"
            record = kernel_record(kernel, len(func.params), self.facts, why, tuned)
            self.kernels.append(kernel)
            self.footprints.append(footprints(func, scheduled))
            self.records.append(record)
        return self._index_of[key]

    def _schedule(
        self, func: tirx.PrimFunc, constants: frozenset[int], pitches: Pitches | None = None,
        halves: Halves | None = None,
    ) -> tuple[Scheduled, str]:  # fmt: skip
        """The schedule, and what `--tuned` did about it; slices take what whole tensors do."""
        base = Choice()
        if self.direct and schedule(func, constants, self.facts).variant != DIRECT:
            base = Choice(algorithm=DIRECT)
        if self.choose is None:
            return schedule(func, constants, self.facts, base, pitches, halves), ""
        chosen = self.choose(func, constants, schedule(func, constants, self.facts, base))
        choice, why = chosen.choice or Choice(), chosen.why
        algorithm = choice.algorithm or base.algorithm
        if self.direct and algorithm not in (None, DIRECT):
            choice, algorithm = base, base.algorithm
            why = "default: another method was tuned, but only direct ones are wanted"
        choice = dataclasses.replace(choice, algorithm=algorithm)
        return schedule(func, constants, self.facts, choice, pitches, halves), why
