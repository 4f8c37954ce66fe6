"""Bar plot: time over ONNX Runtime's, network by network and plan by plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hetcomp.bench.model_rows import Row
from hetcomp.bench.peers import PEERS
from hetcomp.bench.roofline import check_plot

__all__ = ["plot_ratios"]


def plot_ratios(path: Path, rows: Sequence[Row]) -> None:
    """Draw `ratio_to_onnxruntime` of every plan of ours as bars, a group for each network."""
    check_plot(path)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    ours = [row for row in rows if row.plan not in PEERS]
    models = list(dict.fromkeys(row.model for row in ours))
    arms = list(dict.fromkeys((row.plan, row.cpu_threads) for row in ours))
    width = 0.8 / max(1, len(arms))
    figure, axes = plt.subplots(figsize=(max(6.0, 0.5 * len(models) + 2.0), 5.0))
    for number, (plan, threads) in enumerate(arms):
        found = {row.model: row for row in ours if (row.plan, row.cpu_threads) == (plan, threads)}
        heights = [(found[m].ratio_to_onnxruntime if m in found else None) for m in models]
        places = np.arange(len(models)) + (number - (len(arms) - 1) / 2) * width
        label = f"{plan}, {threads} CPU thread{'s' if threads > 1 else ''}"
        axes.bar(places, [height or 0.0 for height in heights], width, label=label)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(models)), models, rotation=60, ha="right")
    axes.set_ylabel("time / ONNX Runtime's (below 1 is faster)")
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
