"""One line for many rows: geometric means, worst cases, and the share of the peak."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from hetcomp.bench.layers import LayerRow

__all__ = ["LayerSummary", "geometric_mean", "summarize_layers"]

LARGE_MFLOP = 50.0
"""Layers from here on are long enough for their share of the peak to say something."""


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


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Of those that are there; None where none is."""
    logs = [math.log(value) for value in values if value is not None]
    return math.exp(sum(logs) / len(logs)) if logs else None
