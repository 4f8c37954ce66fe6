"""How to profile a device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hetcomp.errors import InputError
from hetcomp.options import NPU_DRIVERS
from hetcomp.remote import Remote

__all__ = ["ProfileOptions"]

_FULL_S, _QUICK_S = 780.0, 62.0
"""Time for measuring, so that with training all is done within 15 minutes, or 90 s."""


@dataclass(frozen=True)
class ProfileOptions:
    """How to profile.

    Attributes
    ----------
    quick
        Stop measuring after 62 s rather than 780 s.
    seed
        Of all random choices.
    lock
        File that is held while something is timed; None takes one in the user's cache folder.
    workers
        Processes that compile; 0 takes one for each usable core.
    budget_s
        Time to stop after, instead of that of `quick`.
    npu_driver
        NPU driver to measure too, when the rest is done; empty for none.
    rpc
        `HOST:PORT` of a board's `hetcomp_rpc`, or `HOST:PORT,KEY` of a tracker: the board is
        measured, for which this machine compiles. Empty: this machine.

    Raises
    ------
    InputError
        A value is out of range.
    """

    quick: bool = False
    seed: int = 0
    lock: Path | None = None
    workers: int = 0
    budget_s: float | None = None
    npu_driver: str = ""
    rpc: str = ""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise InputError(f"workers must be at least 0, got {self.workers}")
        if self.npu_driver and self.npu_driver not in NPU_DRIVERS:
            known = ", ".join(NPU_DRIVERS)
            raise InputError(f"npu_driver must be one of {known}, got '{self.npu_driver}'")
        if self.rpc:
            Remote.parse(self.rpc)
            if self.npu_driver:
                raise InputError("npu_driver: an NPU is measured on its own machine; leave out rpc")
        if self.seed < 0:
            raise InputError(f"seed must be at least 0, got {self.seed}")
        if self.budget_s is not None and not self.budget_s > 0.0:
            raise InputError(f"budget_s must be above 0, got {self.budget_s}")

    @property
    def seconds(self) -> float:
        """Time to stop after."""
        return self.budget_s or (_QUICK_S if self.quick else _FULL_S)
