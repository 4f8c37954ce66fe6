"""What tuning tells: while it runs, and in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetcomp.tune.database import Record
from hetcomp.tune.tasks import TuneTask

__all__ = ["State", "TaskResult"]


@dataclass(frozen=True)
class State:
    """Progress: what is being tried, trials done and wanted, best ratio so far, seconds left."""

    stage: str
    task: str
    done: int
    trials: int
    best: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class TaskResult:
    """What tuning found for a task; no winner where none was tried or could be re-measured."""

    task: TuneTask
    trials: int
    failures: int
    winner: Record | None

    @property
    def choice(self) -> Mapping[str, Any]:
        """The winner's parameters; empty where the default stays."""
        return {} if self.winner is None else self.winner.choice

    @property
    def ratio(self) -> float:
        """Time over the default's."""
        return 1.0 if self.winner is None else self.winner.ratio or 1.0
