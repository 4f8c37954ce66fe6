"""The stages of a compilation: timed, reported, and without each other's memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hetcomp.memory import give_back

__all__ = ["Progress", "Stages"]

Progress = Callable[[str, float], None]
"""Called with the stage's name and the part done, 0 to 1."""


@dataclass
class Stages:
    """Times stages, passes progress on, and keeps no stage's memory."""

    report: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, done: float) -> Iterator[None]:
        """A stage, which begins when this part of all is done."""
        self.report(name, done)
        begin = time.perf_counter()
        yield
        give_back()
        self.seconds[name] = time.perf_counter() - begin
