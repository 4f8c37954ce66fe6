"""Plots of `bench planner`: speed-up over the sorted layers, predicted against measured times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hetcomp.bench.planner_rows import PlannerRow
from hetcomp.bench.roofline import check_plot

__all__ = ["plot_planner"]


def plot_planner(path: Path, rows: Sequence[PlannerRow]) -> None:
    """Draw both plots beside each other."""
    check_plot(path)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(14.0, 6.0))
    _speedups(left, rows)
    _predictions(right, rows)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _speedups(axes: Any, rows: Sequence[PlannerRow]) -> None:
    ordered = sorted(rows, key=lambda row: row.speedup_oracle)
    places = range(len(ordered))
    axes.plot(places, [row.speedup_oracle for row in ordered], "k-", lw=1, label="search")
    for kind, marker in (("linear", "s"), ("conv2d", "o"), ("depthwise", "^")):
        found = [(x, row.speedup_plan) for x, row in enumerate(ordered) if row.kind == kind]
        if found:
            axes.plot(*zip(*found, strict=True), marker, ms=4, label=f"plan, {kind}")
    cached = [(x, row.speedup_plan) for x, row in enumerate(ordered) if row.cache_effect]
    if cached:
        axes.plot(*zip(*cached, strict=True), "o", ms=9, mfc="none", mec="red", label="cache")
    axes.axhline(1.0, color="grey", linewidth=0.8)
    axes.set_xlabel("layers, sorted")
    axes.set_ylabel("speed-up over the better single processor")
    axes.legend(fontsize="small")


def _predictions(axes: Any, rows: Sequence[PlannerRow]) -> None:
    points = [point for row in rows for point in row.grid]
    axes.loglog(
        [point.searched_us for point in points],
        [point.predicted_us for point in points],
        ".", ms=2, color="lightsteelblue", label="all shares",
    )  # fmt: skip
    axes.loglog(
        [row.plan_us for row in rows],
        [row.plan_predicted_us for row in rows],
        "o", ms=4, color="navy", label="plans",
    )  # fmt: skip
    limits = axes.get_xlim()
    axes.plot(limits, limits, color="grey", linewidth=0.8)
    axes.set_xlabel("measured µs a layer")
    axes.set_ylabel("predicted µs a layer")
    axes.legend(fontsize="small")
