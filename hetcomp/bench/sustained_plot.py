"""Plot of `bench models --sustained`: latency over time, with and without adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hetcomp.bench.roofline import check_plot
from hetcomp.bench.sustained import LOADS, SustainedRun
from hetcomp.bench.sustained_rows import ADAPTIVE, STATIC, Inference

__all__ = ["plot_sustained"]

_COLOURS = {ADAPTIVE: "crimson", "auto": "grey", "cpu": "steelblue", "gpu": "seagreen"}


def plot_sustained(path: Path, runs: Sequence[SustainedRun]) -> None:
    """Draw every network's arms over time; phases with other work are shaded."""
    check_plot(path)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    size = (12.0, 3.5 * max(1, len(runs)))
    figure, grid = plt.subplots(len(runs), 1, figsize=size, squeeze=False)
    for run, axes in zip(runs, grid[:, 0], strict=True):
        _draw(axes, run)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _draw(axes: Any, run: SustainedRun) -> None:
    for arm in (*STATIC, ADAPTIVE):
        taken = [one for one in run.inferences if one.arm == arm]
        style = {"s": 5.0, "color": _COLOURS[arm], "alpha": 1.0 if arm == ADAPTIVE else 0.4}
        axes.scatter([o.at_s for o in taken], [o.time_ms for o in taken], label=arm, **style)
    for phase, load in enumerate(LOADS):
        begin_s, end_s = _span(run.inferences, phase)
        if load != "quiet":
            axes.axvspan(begin_s, end_s, color="gold", alpha=0.2)
        axes.text(begin_s, axes.get_ylim()[1], f" {load}", va="top", fontsize="small")
    axes.set_title(run.model)
    axes.set_xlabel("seconds")
    axes.set_ylabel("ms an inference")
    axes.set_ylim(bottom=0.0)
    axes.legend(fontsize="small", loc="upper right")


def _span(inferences: Sequence[Inference], phase: int) -> tuple[float, float]:
    times = [one.at_s for one in inferences if one.phase == phase]
    return min(times), max(times)
