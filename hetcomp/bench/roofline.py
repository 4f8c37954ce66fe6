"""Roofline plot: every layer as a point under the measured peak and bandwidths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hetcomp.bench.ceilings import Ceilings
from hetcomp.bench.layer_rows import LayerRow
from hetcomp.errors import InputError
from hetcomp.files import check_writable

__all__ = ["check_plot", "plot_roofline"]

_FORMATS = (".png", ".svg", ".pdf")
_COLOURS = {"cpu": "tab:blue", "gpu": "tab:orange"}
_LABELS = {"cpu": "CPU", "gpu": "OpenCL"}
_MARKERS = {"conv2d": "o", "depthwise": "v", "linear": "s", "matmul": "D"}
_OTHER_MARKER = "x"


def check_plot(path: Path) -> None:
    """Refuse a path or an installation that `plot_roofline` could not use.

    Raises
    ------
    InputError
        Unknown suffix, a place that cannot be written, or no Matplotlib.
    """
    if path.suffix.lower() not in _FORMATS:
        raise InputError(f"plot '{path}': expected a name that ends with {', '.join(_FORMATS)}")
    check_writable(path, "plot")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError("plots need Matplotlib: pip install 'hetcomp[plot]'") from error


def plot_roofline(path: Path, rows: Sequence[LayerRow], ceilings: Sequence[Ceilings]) -> None:
    """Draw GFLOP/s over arithmetic intensity (FLOP per byte of inputs, weights and outputs)."""
    check_plot(path)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = [row for row in rows if row.mflop > 0.0 and row.mbytes > 0.0]
    figure, axes = plt.subplots(figsize=(10.0, 6.0))
    intensities = [row.mflop / row.mbytes for row in shown] or [1.0]
    span = np.geomspace(min(*intensities, 0.25), max(*intensities, 64.0) * 1.5, 200)
    for roof in ceilings:
        _draw_roof(axes, roof, span)
    for kind in sorted({row.kind for row in shown}):
        for roof in ceilings:
            _draw_points(axes, kind, roof.processor, shown)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="FLOP per byte of inputs, weights and outputs",
        ylabel="GFLOP/s (Winograd: by the direct method's work)",
        title="Layers in place, under the measured roofs",
    )
    axes.grid(True, which="both", alpha=0.2)
    axes.legend(fontsize="small", ncols=2)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _draw_roof(axes: Any, roof: Ceilings, span: Any) -> None:
    label, colour = _LABELS[roof.processor], _COLOURS[roof.processor]
    for name, bandwidth, style in (
        ("memory", roof.memory_gb_per_s, "--"),
        ("L2", roof.l2_gb_per_s, "-"),
    ):
        axes.plot(
            span,
            np.minimum(roof.peak_gflops, span * bandwidth),
            style,
            color=colour,
            linewidth=1.0,
            label=f"{label}: peak {roof.peak_gflops:.0f} GFLOP/s, {name} {bandwidth:.0f} GB/s",
        )


def _draw_points(axes: Any, kind: str, processor: str, rows: Sequence[LayerRow]) -> None:
    points = [row for row in rows if row.kind == kind and row.processor == processor]
    if not points:
        return
    axes.scatter(
        [row.mflop / row.mbytes for row in points],
        [row.gflops for row in points],
        s=14,
        marker=_MARKERS.get(kind, _OTHER_MARKER),
        color=_COLOURS[processor],
        alpha=0.6,
        linewidths=0.8,
        label=f"{_LABELS[processor]} {kind}",
    )
