"""What became of a trial."""

from __future__ import annotations

from dataclasses import dataclass

from hetcomp.tune.evaluate import Evaluation

__all__ = ["DIED", "Outcome", "failed"]

DIED = "the measuring process died"
_TAIL = 300
"""Characters of an error that are kept."""


@dataclass(frozen=True)
class Outcome:
    """An evaluation, or why there is none: `build`, `timeout`, `crash`, `error`, and a message."""

    evaluation: Evaluation | None
    status: str = "ok"
    message: str = ""


def failed(status: str, error: Exception | str) -> Outcome:
    """The outcome of a trial that ended with `error`."""
    return Outcome(None, status, str(error).strip()[-_TAIL:])
