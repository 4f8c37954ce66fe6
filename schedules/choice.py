"""What of a kernel can be chosen: parameters that a tuner sets, and the values a template allows.

A template reads a `Choice`; what is None it decides itself. It exports its *space*, the legal
values for this shape and device, as `Scheduled.space`. Parameters that change the packed weights
or the tile grids belong to the task, because both processors read the same weights and a plan
cuts one grid; the rest is chosen for each processor apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .facts import DeviceFacts, GroupFacts

__all__ = [
    "DIRECT",
    "GROUP",
    "Bound",
    "Choice",
    "DeviceChoice",
    "GroupChoice",
    "IllegalChoice",
    "Knob",
    "Space",
    "Value",
]

DIRECT = "direct"
"""Algorithm of the direct method; others are named by their templates."""

GROUP = "group."
"""How names of a work-group's parameters begin."""

Value = bool | int | str


class IllegalChoice(Exception):  # noqa: N818 (a refusal with its reason, not a fault)
    """A choice that the template does not offer for this shape; says which."""


@dataclass(frozen=True)
class DeviceChoice:
    """What may differ between the CPU's kernel and the OpenCL kernel of one task.

    Attributes
    ----------
    unroll
        Steps of the reduction per loop iteration.
    prefetch
        Weight panels between the one in use and the one asked for; 0 asks for none.
    rows_inner
        Whether tiles of rows vary fastest.
    """

    unroll: int | None = None
    prefetch: int | None = None
    rows_inner: bool | None = None


@dataclass(frozen=True)
class GroupChoice:
    """The work-group of a kernel for OpenCL class `gpu`; 0 is as None: by the device's facts.

    Attributes
    ----------
    rows, columns
        Rows (pixels, tokens) and channels of the tile that its items share, at most.
    depth
        Steps of the sum that are staged in local memory at once, at most.
    items
        Work-items, at most.
    accumulators
        Of one item, at most.
    """

    rows: int | None = None
    columns: int | None = None
    depth: int | None = None
    items: int | None = None
    accumulators: int | None = None

    def on(self, facts: GroupFacts) -> GroupFacts:
        """`facts` with no more items, and so many accumulators, as chosen."""
        return replace(
            facts,
            items=min(facts.items, self.items or facts.items),
            accumulators=self.accumulators or facts.accumulators,
        )


@dataclass(frozen=True)
class Choice:
    """Parameters of one task's kernels.

    Attributes
    ----------
    algorithm
        `direct`, or the name of another method that the task's space offers.
    height
        Rows (pixels, tokens) of a register tile.
    vectors
        Vector registers across a register tile, which decides how weights are packed.
    per_unit
        Row tiles per unit of splitting, which is an OpenCL work-group.
    cpu, opencl
        What may differ between the processors.
    group
        The work-group of OpenCL class `gpu`.

    Examples
    --------
    >>> Choice().with_values({"height": 7, "cpu.unroll": 2}).values()
    {'height': 7, 'cpu.unroll': 2}
    """

    algorithm: str | None = None
    height: int | None = None
    vectors: int | None = None
    per_unit: int | None = None
    cpu: DeviceChoice = DeviceChoice()
    opencl: DeviceChoice = DeviceChoice()
    group: GroupChoice = GroupChoice()

    def on(self, device: DeviceFacts) -> DeviceChoice:
        """The part for `device`."""
        return self.opencl if device.opencl else self.cpu

    def values(self) -> dict[str, Value]:
        """What is set, by name; names of a processor's part begin with it and a dot."""
        found: dict[str, Value] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (DeviceChoice, GroupChoice)):
                own = {f"{field.name}.{name}": item for name, item in asdict(value).items()}
                found |= {name: item for name, item in own.items() if item is not None}
            elif value is not None:
                found[field.name] = value
        return found

    def with_values(self, values: Mapping[str, Any]) -> Choice:
        """A copy with `values`, named as in `values()`, set.

        Raises
        ------
        IllegalChoice
            There is no parameter of such a name.
        """
        choice = self
        for name, value in values.items():
            part, _, own = name.rpartition(".")
            try:
                if part:
                    inner = replace(getattr(choice, part), **{own: value})
                    choice = replace(choice, **{part: inner})
                else:
                    choice = replace(choice, **{own: value})
            except (AttributeError, TypeError) as error:
                raise IllegalChoice(f"no parameter '{name}'") from error
        return choice


@dataclass(frozen=True)
class Knob:
    """One dimension of a space: a parameter's name, as in `Choice.values()`, and legal values.

    `default` is what the template takes where nothing is chosen; it is among the values.
    `of_groups`: whether a kernel of OpenCL class `gpu` reads it.
    """

    name: str
    values: tuple[Value, ...]
    default: Value
    of_groups: bool = True


@dataclass(frozen=True)
class Bound:
    """The product of the parameters `names` may not exceed `most`, say the register file."""

    names: tuple[str, ...]
    most: int


@dataclass(frozen=True)
class Space:
    """What a template offers for one shape on one pair of devices."""

    knobs: tuple[Knob, ...] = ()
    bounds: tuple[Bound, ...] = ()

    def why_not(self, values: Mapping[str, Value]) -> str:
        """Why `values` (what is missing is at its default) are not legal; empty if they are."""
        knobs = {knob.name: knob for knob in self.knobs}
        for name, value in values.items():
            if name not in knobs:
                return f"this kernel has no parameter '{name}'"
            if value not in knobs[name].values:
                return f"{name}={value} is not legal here, which is one of {knobs[name].values}"
        for bound in self.bounds:
            bounded = [knobs[name] for name in bound.names if name in knobs]
            factors = [int(values.get(knob.name, knob.default)) for knob in bounded]
            if math.prod(factors) > bound.most:
                return f"{' x '.join(bound.names)} = {math.prod(factors)} exceeds {bound.most}"
        return ""

    @property
    def of_groups(self) -> bool:
        """Whether there is a kernel of its own for OpenCL class `gpu`."""
        return any(knob.name.startswith(GROUP) for knob in self.knobs)

    def defaults(self) -> dict[str, Value]:
        """What the template takes where nothing is chosen."""
        return {knob.name: knob.default for knob in self.knobs}
