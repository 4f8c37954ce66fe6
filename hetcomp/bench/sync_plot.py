"""Plot of `bench sync`: overhead a layer by tier, and the latencies behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hetcomp.bench.roofline import check_plot
from hetcomp.bench.sync_rows import SyncResults

__all__ = ["LATENCY_TEXTS", "plot_sync"]

LATENCY_TEXTS = {
    "hand_shake_us": "CPU's flag → waiting kernel → CPU",
    "enqueue_us": "enqueue, device asleep",
    "enqueue_busy_us": "enqueue, device busy",
    "launch_us": "enqueued → first instruction, device asleep",
    "event_us": "kernel's end → seen by polling its event",
    "sleep_us": "kernel's end → seen by sleeping (tier finish)",
    "finish_us": "kernel's end → clFinish returns",
}


def plot_sync(path: Path, results: SyncResults) -> None:
    """Draw both beside each other, on logarithmic axes."""
    check_plot(path)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(14.0, 4.5))
    _overheads(left, results)
    _latencies(right, results)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _overheads(axes: Any, results: SyncResults) -> None:
    rows = results.rows
    names = [f"{row.tier}, {row.memory}" for row in rows]
    medians = [row.overhead_per_layer_us_median for row in rows]
    below = [row.overhead_per_layer_us_median - row.overhead_per_layer_us_p10 for row in rows]
    above = [row.overhead_per_layer_us_p95 - row.overhead_per_layer_us_median for row in rows]
    axes.barh(names, medians, xerr=(below, above), color="steelblue", capsize=3)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("µs a layer beyond the kernels: median, 10th to 95th percentile")


def _latencies(axes: Any, results: SyncResults) -> None:
    found = {name: results.latencies[name] for name in LATENCY_TEXTS if name in results.latencies}
    texts = [LATENCY_TEXTS[name] for name in found]
    medians = [spread.median_us for spread in found.values()]
    below = [spread.median_us - spread.p10_us for spread in found.values()]
    above = [spread.p90_us - spread.median_us for spread in found.values()]
    axes.barh(texts, medians, xerr=(below, above), color="darkorange", capsize=3)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("µs: median, 10th to 90th percentile")
