"""What `bench planner` is asked, and what it answers: frozen data."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from hetcomp.bench import zoo
from hetcomp.bench.options import check_known
from hetcomp.bench.sync_rows import DEVICE_TIERS
from hetcomp.cost.profile import DeviceProfile
from hetcomp.errors import InputError

__all__ = ["GridPoint", "PlannerOptions", "PlannerRow", "PlannerSummary", "summarize"]

KINDS = ("linear", "conv2d", "depthwise")
SLOWER = 1.02
"""From here on a layer counts as slower than its better single processor."""


@dataclass(frozen=True)
class PlannerOptions:
    """What to measure.

    Attributes
    ----------
    models
        Zoo networks whose layers are candidates.
    layers
        How many distinct layers, spread evenly over the logarithm of their work; 0 takes all.
    kinds
        Families of kernels.
    min_mflop
        Layers with less work are left out.
    tiers
        Ways of synchronisation.
    quick
        Fewer samples.
    lock
        See `hetcomp.bench.timing.exclusive`.
    records
        File that keeps rows; those that it has for this device are not measured again.
    profile
        Plans by its models; None: by the times of the layer and its halves, measured in turn.
    """

    models: tuple[str, ...]
    layers: int = 64
    kinds: tuple[str, ...] = KINDS[:2]
    min_mflop: float = 2.0
    tiers: tuple[str, ...] = DEVICE_TIERS[:1]
    quick: bool = False
    lock: Path | None = None
    records: Path | None = None
    profile: DeviceProfile | None = None

    def __post_init__(self) -> None:
        check_known("model", self.models, zoo.names())
        check_known("kind of layer", self.kinds, KINDS)
        check_known("tier", self.tiers, DEVICE_TIERS)
        for what in ("models", "kinds", "tiers"):
            if not getattr(self, what):
                raise InputError(f"name at least one of the {what}")

    @property
    def planned_by(self) -> str:
        """`measured`, or the profile's device and a sum over all that plans are made from."""
        profile = self.profile
        if profile is None:
            return "measured"
        sync = {tier: asdict(cost) for tier, cost in profile.sync.items()}
        facts = (profile.models, sync, profile.slow_down, profile.limits)
        text = json.dumps([dict(fact) for fact in facts], sort_keys=True)
        return f"{profile.device} {zlib.crc32(text.encode()):08x}"

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        plain = asdict(replace(self, profile=None))
        files = {name: str(path) for name in ("lock", "records") if (path := getattr(self, name))}
        return {**plain, "lock": None, "records": None, **files, "profile": self.planned_by}


@dataclass(frozen=True)
class GridPoint:
    """A share of the grid: what it took when it was searched, and what was predicted."""

    share: str
    searched_us: float
    predicted_us: float


@dataclass(frozen=True)
class PlannerRow:
    """One layer under one tier; times in microseconds a layer, see `hetcomp.bench.layer_chain`.

    Attributes
    ----------
    model, layer, kind, variant, text
        First network that has it, its task there, kernel family, its variant and what it computes.
    key, tier
        Hash of the kernel's code with its grids, and the synchronisation.
    mflop, weight_bytes, layer_bytes, chain_bytes
        Work, and bytes of weights, of all that a layer touches, and of all copies.
    cpu_us, gpu_us
        Either processor alone.
    plan, plan_predicted_us, plan_us, plan_p10_us, plan_p90_us
        The placement that the planner chose, what it promised and what it took.
    oracle, oracle_us
        The largest speed-up among the search's finalists, both processors alone and the plan.
    speedup_plan, speedup_oracle
        Over the better single processor, medians of ratios within rounds.
    share_of_oracle
        Their ratio.
    tickets, speedup_tickets
        Size of the best of some tickets, and its gain; empty and None where there are none. They
        are no part of the search.
    error_percent
        Of the predicted time of the plan.
    single_error_percent
        Of the predicted times of either processor alone, mean; None where they are not predicted
        but measured.
    cache_effect
        Whether caches may have part in the gain: above 2, or half of the weights fit the
        second-level cache and the whole does not, or the copies do not exceed both such caches.
    rounds, grid
        Number of samples, and the whole search.
    """

    model: str
    layer: str
    kind: str
    variant: str
    text: str
    key: str
    tier: str
    mflop: float
    weight_bytes: int
    layer_bytes: int
    chain_bytes: int
    cpu_us: float
    gpu_us: float
    plan: str
    plan_predicted_us: float
    plan_us: float
    plan_p10_us: float
    plan_p90_us: float
    oracle: str
    oracle_us: float
    speedup_plan: float
    speedup_oracle: float
    share_of_oracle: float
    tickets: str
    speedup_tickets: float | None
    error_percent: float
    single_error_percent: float | None
    cache_effect: bool
    rounds: int
    grid: tuple[GridPoint, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> PlannerRow:
        """Inverse of `to_json`."""
        return PlannerRow(**{**data, "grid": tuple(GridPoint(**item) for item in data["grid"])})


@dataclass(frozen=True)
class PlannerSummary:
    """All layers of one tier.

    Attributes
    ----------
    tier, layers
        Of what, and how many.
    share_of_oracle_mean, share_of_oracle_median, share_of_oracle_min
        Of the exhaustive search's speed-up.
    speedup_plan_mean, speedup_oracle_mean, speedup_plan_median, speedup_oracle_median
        Over the better single processor, of all layers.
    speedup_tickets_mean
        Of the layers that can take tickets; None where none can.
    speedup_max_linear, speedup_max_conv
        The plan's largest, layers with a cache effect left out; None where there are none.
    cache_effects
        Number of layers left out there.
    slower
        Number of layers more than 2% slower than their better single processor.
    worst_speedup, worst_layer
        The least, and of which layer.
    plan_mape_percent
        Mean absolute error of the plans' predicted times.
    kernel_mape_percent
        The same of either processor alone; None where these were measured.
    """

    tier: str
    layers: int
    share_of_oracle_mean: float
    share_of_oracle_median: float
    share_of_oracle_min: float
    speedup_plan_mean: float
    speedup_oracle_mean: float
    speedup_plan_median: float
    speedup_oracle_median: float
    speedup_tickets_mean: float | None
    speedup_max_linear: float | None
    speedup_max_conv: float | None
    cache_effects: int
    slower: int
    worst_speedup: float
    worst_layer: str
    plan_mape_percent: float
    kernel_mape_percent: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def summarize(rows: Sequence[PlannerRow]) -> tuple[PlannerSummary, ...]:
    """One summary for each tier of `rows`."""
    tiers = dict.fromkeys(row.tier for row in rows)
    return tuple(_summary(tier, [row for row in rows if row.tier == tier]) for tier in tiers)


def _summary(tier: str, rows: Sequence[PlannerRow]) -> PlannerSummary:
    shares = [row.share_of_oracle for row in rows]
    singles = [e for row in rows if (e := row.single_error_percent) is not None]
    tickets = [gain for row in rows if (gain := row.speedup_tickets) is not None]
    worst = min(rows, key=lambda row: row.speedup_plan)
    return PlannerSummary(
        tier=tier,
        layers=len(rows),
        share_of_oracle_mean=mean(shares),
        share_of_oracle_median=median(shares),
        share_of_oracle_min=min(shares),
        speedup_plan_mean=mean(row.speedup_plan for row in rows),
        speedup_oracle_mean=mean(row.speedup_oracle for row in rows),
        speedup_plan_median=median(row.speedup_plan for row in rows),
        speedup_oracle_median=median(row.speedup_oracle for row in rows),
        speedup_tickets_mean=mean(tickets) if tickets else None,
        speedup_max_linear=_largest(rows, ("linear",)),
        speedup_max_conv=_largest(rows, ("conv2d", "depthwise")),
        cache_effects=sum(row.cache_effect for row in rows),
        slower=sum(row.speedup_plan * SLOWER < 1.0 for row in rows),
        worst_speedup=worst.speedup_plan,
        worst_layer=f"{worst.model} {worst.layer}",
        plan_mape_percent=mean(row.error_percent for row in rows),
        kernel_mape_percent=mean(singles) if singles else None,
    )


def _largest(rows: Sequence[PlannerRow], kinds: tuple[str, ...]) -> float | None:
    found = [row.speedup_plan for row in rows if row.kind in kinds and not row.cache_effect]
    return max(found, default=None)
