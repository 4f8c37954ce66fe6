"""Why a task is no operator of a region program."""

from __future__ import annotations

__all__ = ["Refused"]


class Refused(Exception):  # noqa: N818 (a refusal with its reason, not a fault)
    """The task stays on CPU and GPU; says why."""
