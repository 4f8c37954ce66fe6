"""One line for many rows: geometric means, worst cases, and the share of the peak."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from hetcomp.bench.layer_rows import LayerRow
from hetcomp.bench.model_rows import Row
from hetcomp.bench.peers import PEERS

__all__ = [
    "GainSummary",
    "LayerSummary",
    "ModelSummary",
    "PeerSummary",
    "geometric_mean",
    "summarize_gains",
    "summarize_layers",
    "summarize_models",
    "summarize_peers",
]

LARGE_MFLOP = 50.0
"""Layers from here on are long enough for their share of the peak to say something."""

_SINGLE = ("cpu", "gpu")
"""Plans for one processor."""


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Of those that are there; None where none is."""
    logs = [math.log(value) for value in values if value is not None]
    return math.exp(sum(logs) / len(logs)) if logs else None


@dataclass(frozen=True)
class LayerSummary:
    """All layers of one processor.

    Attributes
    ----------
    processor, layers
        Of what, and how many.
    large_layers, median_share_of_peak
        Number of layers with at least 50 MFLOP, and the median of their share of the peak.
    compared, ratio_to_onnxruntime
        Number of layers that ONNX Runtime has too, and geometric mean of our time over its.
    large_ratio_to_onnxruntime
        The same for layers with at least 50 MFLOP.
    """

    processor: str
    layers: int
    large_layers: int
    median_share_of_peak: float | None
    compared: int
    ratio_to_onnxruntime: float | None
    large_ratio_to_onnxruntime: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def summarize_layers(rows: Sequence[LayerRow]) -> tuple[LayerSummary, ...]:
    """One summary for each processor of `rows`."""
    processors = dict.fromkeys(row.processor for row in rows)
    return tuple(
        _summary(processor, [row for row in rows if row.processor == processor])
        for processor in processors
    )


def _summary(processor: str, rows: Sequence[LayerRow]) -> LayerSummary:
    large = [row for row in rows if row.mflop >= LARGE_MFLOP]
    compared = [row for row in rows if row.ratio_to_onnxruntime is not None]
    return LayerSummary(
        processor=processor,
        layers=len(rows),
        large_layers=len(large),
        median_share_of_peak=median(row.share_of_peak for row in large) if large else None,
        compared=len(compared),
        ratio_to_onnxruntime=geometric_mean(row.ratio_to_onnxruntime for row in rows),
        large_ratio_to_onnxruntime=geometric_mean(row.ratio_to_onnxruntime for row in large),
    )


@dataclass(frozen=True)
class ModelSummary:
    """One plan over all networks.

    Attributes
    ----------
    plan, cpu_threads, networks
        Plan, threads that its CPU part ran on, and how many networks were compared.
    ratio_to_onnxruntime, ratio_to_onnxruntime_1_thread
        Geometric means of the rows' ratios.
    worst_model, worst_ratio
        The network with the largest ratio to ONNX Runtime.
    """

    plan: str
    cpu_threads: int
    networks: int
    ratio_to_onnxruntime: float
    ratio_to_onnxruntime_1_thread: float
    worst_model: str
    worst_ratio: float

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def summarize_models(rows: Sequence[Row]) -> tuple[ModelSummary, ...]:
    """One summary for each plan of ours and number of threads; none without ONNX Runtime."""
    compared = [
        row for row in rows if row.plan not in PEERS and row.ratio_to_onnxruntime is not None
    ]
    return tuple(_plan_summary(found) for found in _by_arm(compared))


def _by_arm(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of each plan and number of threads."""
    arms = dict.fromkeys((row.plan, row.cpu_threads) for row in rows)
    return [[row for row in rows if (row.plan, row.cpu_threads) == arm] for arm in arms]


def _plan_summary(rows: Sequence[Row]) -> ModelSummary:
    worst = max(rows, key=lambda row: row.ratio_to_onnxruntime or 0.0)
    return ModelSummary(
        plan=worst.plan,
        cpu_threads=worst.cpu_threads,
        networks=len(rows),
        ratio_to_onnxruntime=geometric_mean(row.ratio_to_onnxruntime for row in rows) or 0.0,
        ratio_to_onnxruntime_1_thread=geometric_mean(
            row.ratio_to_onnxruntime_1_thread for row in rows
        )
        or 0.0,
        worst_model=worst.model,
        worst_ratio=worst.ratio_to_onnxruntime or 0.0,
    )


@dataclass(frozen=True)
class PeerSummary:
    """One plan over all networks, against the fastest engine of each.

    Attributes
    ----------
    plan, cpu_threads, networks
        As in `ModelSummary`.
    ratio_to_best_peer
        Geometric mean of the rows'.
    worst_model, worst_ratio
        The network with the largest.
    """

    plan: str
    cpu_threads: int
    networks: int
    ratio_to_best_peer: float
    worst_model: str
    worst_ratio: float

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def summarize_peers(rows: Sequence[Row]) -> tuple[PeerSummary, ...]:
    """One summary for each plan of ours and number of threads; none with one engine at most."""
    if len({row.plan for row in rows if row.plan in PEERS}) < 2:
        return ()
    ours = [row for row in rows if row.plan not in PEERS and row.ratio_to_best_peer is not None]
    return tuple(_peer_summary(found) for found in _by_arm(ours))


def _peer_summary(rows: Sequence[Row]) -> PeerSummary:
    worst = max(rows, key=lambda row: row.ratio_to_best_peer or 0.0)
    return PeerSummary(
        plan=worst.plan,
        cpu_threads=worst.cpu_threads,
        networks=len(rows),
        ratio_to_best_peer=geometric_mean(row.ratio_to_best_peer for row in rows) or 0.0,
        worst_model=worst.model,
        worst_ratio=worst.ratio_to_best_peer or 0.0,
    )


@dataclass(frozen=True)
class GainSummary:
    """What a plan for both processors gains over the better of them, over all networks.

    Attributes
    ----------
    plan, networks
        Plan, and for how many networks both processors were measured too.
    gain_over_best_single
        Geometric mean of the rows' gains.
    worst_model, worst_gain
        The network that gains least.
    """

    plan: str
    networks: int
    gain_over_best_single: float
    worst_model: str
    worst_gain: float

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def summarize_gains(rows: Sequence[Row]) -> tuple[GainSummary, ...]:
    """One summary for each plan that is not a single processor's; none where nothing compares."""
    gains: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.plan not in _SINGLE and row.gain_over_best_single is not None:
            gains.setdefault(row.plan, {})[row.model] = row.gain_over_best_single
    return tuple(_gain_summary(plan, found) for plan, found in gains.items())


def _gain_summary(plan: str, gains: Mapping[str, float]) -> GainSummary:
    worst = min(gains, key=gains.__getitem__)
    return GainSummary(
        plan=plan,
        networks=len(gains),
        gain_over_best_single=geometric_mean(gains.values()) or 0.0,
        worst_model=worst,
        worst_gain=gains[worst],
    )
