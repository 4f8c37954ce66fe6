"""Constants stage by stage and pass by pass, kept as they come, so that a run can go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

__all__ = ["Passes"]

Values = Mapping[str, float]


class Passes:
    """What was measured of each stage, a set of figures for each pass over it.

    Parameters
    ----------
    known
        Of an earlier run, by stage.
    keep
        Hears every stage and its figures as they are added.
    """

    def __init__(
        self, known: Mapping[str, Sequence[Values]], keep: Callable[[str, Values], None]
    ) -> None:
        self._stages = {stage: list(values) for stage, values in known.items()}
        self._keep = keep

    def count(self, stage: str) -> int:
        """How many passes over a stage there are."""
        return len(self._stages.get(stage, ()))

    def add(self, stage: str, values: Values) -> None:
        """Keep a pass."""
        self._stages.setdefault(stage, []).append(values)
        self._keep(stage, values)

    def medians(self) -> dict[str, Values]:
        """By stage the median of each figure over its passes."""
        return {
            stage: {key: median(values[key] for values in passes) for key in passes[0]}
            for stage, passes in self._stages.items()
        }
