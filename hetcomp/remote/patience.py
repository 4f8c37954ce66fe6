"""What to do when a link drops: find out why, wait for the board, go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from hetcomp.errors import DeviceError, LinkError
from hetcomp.remote.address import Remote
from hetcomp.remote.link import LinkDroppedError
from hetcomp.remote.wire import ask_status

__all__ = ["PATIENCE_S", "Lost", "SessionLostError", "await_board", "held", "why_lost"]

T = TypeVar("T")

PATIENCE_S = 90.0
"""How long a board may be away; one that restarts takes less."""
_FIRST_S, _MOST_S, _GROWTH = 0.25, 10.0, 2.0
_TRIES = 4
_DIED, _EXPIRED = "ended by ", "its time is up"
"""What `runtime_patches/rpc/session.cc` says of sessions that ended so."""


class Lost(Enum):
    """Why a connection was lost."""

    LINK = "link"
    CRASH = "crash"
    TIMEOUT = "timeout"


class SessionLostError(DeviceError):
    """A session on a board was lost there, and not by the link.

    Attributes
    ----------
    how
        CRASH or TIMEOUT.
    """

    def __init__(self, text: str, how: Lost) -> None:
        super().__init__(text, how)
        self.how = how

    def __str__(self) -> str:
        return str(self.args[0])


def await_board(remote: Remote, patience_s: float = PATIENCE_S) -> None:
    """Wait until a board answers and serves nobody, asking ever less often.

    Raises
    ------
    LinkError
        It did not within `patience_s`.
    """
    end, pause_s = time.monotonic() + patience_s, _FIRST_S
    while True:
        try:
            status = ask_status(remote)
            if remote.key or not status.serves:
                return
            why = f"it serves {status.serves}"
        except LinkError as error:
            why = str(error)
        if time.monotonic() + pause_s > end:
            raise LinkError(
                f"{remote.text} did not come back within {patience_s:.0f} s: {why}; what was "
                "measured is kept: run the same command again to go on"
            )
        time.sleep(pause_s)
        pause_s = min(_MOST_S, _GROWTH * pause_s)


def why_lost(board: Remote) -> tuple[Lost, str]:
    """Why the last session on a board was lost, as it tells, and in words; waits for the board.

    Raises
    ------
    LinkError
        It does not come back.
    """
    await_board(board)
    last = ask_status(board).last
    if _EXPIRED in last:
        return Lost.TIMEOUT, "the session on the board took too long and was ended"
    if _DIED in last:
        return Lost.CRASH, f"the session on the board was {last}"
    return Lost.LINK, "the link dropped"


def held(
    action: Callable[[], T], remote: Remote, report: Callable[[str], None], tries: int = _TRIES
) -> T:
    """Do `action`, which keeps what it has done; each time that the link drops, wait for the board
    and do it again.

    Raises
    ------
    SessionLostError
        It was not the link: the session crashed or took too long.
    LinkError
        The board does not come back, or the link dropped `tries` times.
    """
    for attempt in range(1, tries + 1):
        try:
            return action()
        except LinkDroppedError as error:
            report(f"waiting for {remote.text}")
            _check_link(remote, error)
            if attempt == tries:
                raise
        except LinkError:  # no session: what the board tells is of another one
            if attempt == tries:
                raise
            report(f"waiting for {remote.text}")
            await_board(remote)
    raise AssertionError("not reached")


def _check_link(remote: Remote, dropped: LinkDroppedError) -> None:
    """Raise SessionLostError where it was not the link. A tracker's board may stay away: it has
    others."""
    try:
        lost, why = why_lost(dropped.board)
    except LinkError:
        if not remote.key:
            raise
        return
    if lost is not Lost.LINK:
        raise SessionLostError(why, lost) from dropped
