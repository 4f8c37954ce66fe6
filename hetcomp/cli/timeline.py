"""A plan's inference as an HTML page: one lane a processor, drawn as SVG, no scripts."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hetcomp.files import write_text_atomically

__all__ = ["Bar", "Row", "write_timeline"]

_WIDTH, _LANE, _GAP, _LEFT = 1600, 34, 14, 190
_COLOURS = {
    "conv2d": "#4c78a8", "depthwise": "#72b7b2", "linear": "#f58518", "matmul": "#eeca3b",
    "attention": "#e45756", "rowwise": "#54a24b", "elementwise": "#b279a2",
}  # fmt: skip
_OTHER = "#9d9d9d"


@dataclass(frozen=True)
class Bar:
    """One step: task, its kind for the colour, and when it ran."""

    task: str
    kind: str
    start_us: float
    end_us: float


@dataclass(frozen=True)
class Row:
    """One lane of one plan."""

    title: str
    bars: tuple[Bar, ...]


def write_timeline(path: Path, title: str, rows: Sequence[Row]) -> None:
    """Write the page; all lanes have the same scale of time."""
    end_us = max((bar.end_us for row in rows for bar in row.bars), default=1.0)
    scale = (_WIDTH - _LEFT - 20) / end_us
    height = len(rows) * (_LANE + _GAP) + 40
    lanes = [_lane(row, number, scale) for number, row in enumerate(rows)]
    kinds = dict.fromkeys(bar.kind for row in rows for bar in row.bars)
    legend = " ".join(
        f'<span style="color:{_colour(kind)}">&#9632;</span> {html.escape(kind)}' for kind in kinds
    )
    page = (
        f'<!doctype html><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f'<body style="font:14px sans-serif"><h1>{html.escape(title)}</h1>\n'
        f"<p>{legend}. Gaps are waits; point at a step for its task and times.</p>\n"
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="100%" font-size="13">\n'
        f"{''.join(lanes)}{_axis(end_us, scale, height)}</svg></body>\n"
    )
    write_text_atomically(path, page)


def _lane(row: Row, number: int, scale: float) -> str:
    top = number * (_LANE + _GAP) + 4
    bars = "".join(_rect(bar, top, scale) for bar in row.bars)
    return f'<text x="0" y="{top + 22}">{html.escape(row.title)}</text>\n{bars}'


def _rect(bar: Bar, top: int, scale: float) -> str:
    left, width = _LEFT + bar.start_us * scale, max(0.4, (bar.end_us - bar.start_us) * scale)
    text = f"{bar.task} ({bar.kind}): {bar.start_us:.1f} to {bar.end_us:.1f} µs"
    return (
        f'<rect x="{left:.2f}" y="{top}" width="{width:.2f}" height="{_LANE}" '
        f'fill="{_colour(bar.kind)}" stroke="white" stroke-width="0.3">'
        f"<title>{html.escape(text)}</title></rect>\n"
    )


def _axis(end_us: float, scale: float, height: int) -> str:
    marks = []
    for tenth in range(11):
        time_us = end_us * tenth / 10
        x = _LEFT + time_us * scale
        marks.append(
            f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{time_us / 1e3:.3g}</text>'
        )
    return f'{"".join(marks)}<text x="0" y="{height - 8}">milliseconds</text>\n'


def _colour(kind: str) -> str:
    return _COLOURS.get(kind, _OTHER)
