"""Boards to measure on: how they are addressed, asked what they are, and reached."""

from __future__ import annotations

from hetcomp.remote.address import Remote
from hetcomp.remote.link import Link, LinkDroppedError, connect
from hetcomp.remote.patience import Lost, SessionLostError, await_board, held, why_lost
from hetcomp.remote.wire import BoardStatus, ask_status

__all__ = [
    "BoardStatus",
    "Link",
    "LinkDroppedError",
    "Lost",
    "Remote",
    "SessionLostError",
    "ask_status",
    "await_board",
    "connect",
    "held",
    "why_lost",
]
