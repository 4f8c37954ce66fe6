"""What became of a trial."""

from __future__ import annotations

from dataclasses import dataclass

from hetcomp.tune.evaluate import Evaluation

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """An evaluation, or why there is none: `build`, `timeout`, `crash`, `error`, and a message."""

    evaluation: Evaluation | None
    status: str = "ok"
    message: str = ""
