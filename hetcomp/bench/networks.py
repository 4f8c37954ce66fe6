"""Long runs over many networks: one that fails is noted and the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from hetcomp.errors import HetcompError

__all__ = ["Failure", "Progress", "Results", "over_networks", "silent"]

Progress = Callable[[str, float], None]
Row = TypeVar("Row")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A network that could not be measured, and why."""

    model: str
    error: str


@dataclass(frozen=True)
class Results(Generic[Row]):
    """Rows of the networks that could be measured, and the others."""

    rows: tuple[Row, ...]
    failed: tuple[Failure, ...]


def over_networks(
    names: Sequence[str],
    measure: Callable[[str, Progress], Sequence[Row]],
    report: Progress,
) -> Results[Row]:
    """Call `measure` with every name and a progress of its own; collect rows and failures."""
    rows: list[Row] = []
    failed: list[Failure] = []
    for number, name in enumerate(names):

        def part(text: str, done: float, number: int = number, name: str = name) -> None:
            report(f"{name} ({number + 1} of {len(names)}): {text}", (number + done) / len(names))

        try:
            rows += measure(name, part)
        except Exception as error:  # a run of an hour must outlive whatever one network does
            _LOG.debug("%s failed", name, exc_info=True)
            failed.append(Failure(name, _text(error)))
            part(f"failed: {failed[-1].error}", 1.0)
    return Results(tuple(rows), tuple(failed))


def silent(text: str, part: float) -> None:
    """Report nothing."""


def _text(error: Exception) -> str:
    line = " ".join(str(error).split())
    return line if isinstance(error, HetcompError) else f"{type(error).__name__}: {line}"
