"""Tables and JSON to stdout, progress to stderr."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

__all__ = ["number", "print_json", "print_table", "progress_bar", "size_text", "split_names"]

LINE_SECONDS = 60.0
"""Between lines of progress where there is no terminal."""
WIDTH_OF_A_FILE = 200
"""Columns of a table that does not go to a terminal."""


def print_json(data: Any) -> None:
    """Print `data` as JSON; numbers that JSON does not have become null."""
    click.echo(json.dumps(_finite(data), indent=2, allow_nan=False))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()
) -> None:
    """Print a table; columns named in `right` are flush right."""
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """Show progress on stderr while the block runs.

    Yields a function of a text and the part done, 0 to 1. Where stderr is not a terminal, long runs
    still say a line now and then.
    """
    console = Console(stderr=True, markup=False, highlight=False)
    if not console.is_terminal:
        yield _progress_lines()
        return
    text = TextColumn("{task.description}", markup=False)
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(text, BarColumn(), *times, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1.0)

        def report(text: str, part: float) -> None:
            bar.update(task, description=text, completed=max(0.0, min(part, 1.0)))

        yield report


def _progress_lines() -> Callable[[str, float], None]:
    begin = last = time.monotonic()

    def report(text: str, part: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_SECONDS or part <= 0.0:
            return
        last = now
        left_s = (now - begin) * (1.0 / part - 1.0)
        click.echo(f"{part:.0%}, about {left_s / 60:.0f} min left: {text}", err=True)

    return report


def number(value: float | None, digits: int = 1) -> str:
    """A number for a table; `-` where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def split_names(text: str) -> tuple[str, ...]:
    """Names in `text`, separated by commas, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def size_text(size_bytes: int) -> str:
    """A size for people."""
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(item) for item in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data
