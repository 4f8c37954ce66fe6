"""Rows of `bench models --sustained`: how each arm fared in each phase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any

__all__ = ["ADAPTIVE", "SETTLING", "STATIC", "Inference", "PhaseRow", "phase_rows"]

ADAPTIVE = "adaptive"
STATIC = ("auto", "cpu", "gpu")
"""Plans that stay; `auto` is what the adaptive arm begins with."""
SETTLING = 20
"""Inferences after a change of load that are not counted: so many has the adaptive arm to adapt."""
_WITHIN = 1.15
_TOGETHER = 5


@dataclass(frozen=True)
class Inference:
    """One inference: when it began, what it took, and the plan that it ran by."""

    phase: int
    arm: str
    at_s: float
    time_ms: float
    plan: str


@dataclass(frozen=True)
class PhaseRow:
    """One arm in one phase.

    Attributes
    ----------
    model, phase, load, arm
        Which: `load` names the other work, `quiet` is none.
    n
        Inferences after the first `SETTLING`; median, mean and 90th percentile are theirs.
    ratio_to_best_static
        Median over that of the best static plan of this phase.
    mean_ratio
        Mean over the least mean of a static plan.
    settled_after
        Inferences of the phase before five in a row whose median is within 1.15 of the best static
        plan's; None: there were none.
    plans
        How many inferences ran by which plan.
    """

    model: str
    phase: int
    load: str
    arm: str
    n: int
    median_ms: float
    mean_ms: float
    p90_ms: float
    best_static: str
    ratio_to_best_static: float
    mean_ratio: float
    settled_after: int | None
    plans: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def phase_rows(model: str, loads: Sequence[str], found: Sequence[Inference]) -> list[PhaseRow]:
    """A row for every arm in every phase that had enough inferences."""
    rows = []
    for phase, load in enumerate(loads):
        by_arm = {
            arm: [one for one in found if (one.phase, one.arm) == (phase, arm)]
            for arm in (ADAPTIVE, *STATIC)
        }
        if all(len(taken) > SETTLING for taken in by_arm.values()):
            rows += [_row(model, phase, load, arm, by_arm) for arm in by_arm]
    return rows


def _row(
    model: str, phase: int, load: str, arm: str, by_arm: dict[str, list[Inference]]
) -> PhaseRow:
    late = {name: [one.time_ms for one in taken[SETTLING:]] for name, taken in by_arm.items()}
    best = min(STATIC, key=lambda name: median(late[name]))
    best_ms, own = median(late[best]), late[arm]
    return PhaseRow(
        model=model,
        phase=phase,
        load=load,
        arm=arm,
        n=len(own),
        median_ms=median(own),
        mean_ms=mean(own),
        p90_ms=sorted(own)[int(0.9 * (len(own) - 1))],
        best_static=best,
        ratio_to_best_static=median(own) / best_ms,
        mean_ratio=mean(own) / min(mean(late[name]) for name in STATIC),
        settled_after=_settled_after([one.time_ms for one in by_arm[arm]], _WITHIN * best_ms),
        plans=dict(Counter(one.plan for one in by_arm[arm])),
    )


def _settled_after(times_ms: Sequence[float], limit_ms: float) -> int | None:
    for begin in range(len(times_ms) - _TOGETHER + 1):
        if median(times_ms[begin : begin + _TOGETHER]) <= limit_ms:
            return begin
    return None
