"""A connection by TVM's RPC, whose failures are told apart: the board's, and the link's.

TVM's client waits for answers without limit. So a silent end is found out by the system's probes,
which this side turns on, and a call that hangs by the board's server, which ends the session. While
there is no session yet, a timer here hangs up.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hetcomp.errors import DeviceError, HetcompError, LinkError
from hetcomp.remote.address import Remote
from hetcomp.remote.wire import Address, ask_status, request

__all__ = ["SESSION_S", "Link", "LinkDroppedError", "connect"]

SESSION_S = 600.0
"""After which a server ends a session by itself, whatever became of this side."""
_ENDS_S = 10.0
"""How long a session may take to end once its client has hung up."""
_POLL_S = 0.02
_FREE_S = 60.0
"""Longest wait for a tracker's device."""
_GREETING_S = 15.0
"""Longest wait for a board's side of a session's beginning."""
_SILENCE_MS = 30_000
_IDLE_S, _BETWEEN_S, _PROBES = 10, 5, 4


class LinkDroppedError(LinkError):
    """An open session was lost.

    Attributes
    ----------
    board
        Where it was, which a tracker's `Remote` does not tell.
    """

    def __init__(self, text: str, board: Remote) -> None:
        super().__init__(text, board)  # all of it: errors travel from process to process
        self.board = board

    def __str__(self) -> str:
        return str(self.args[0])


class Link:
    """An open connection.

    Attributes
    ----------
    connection
        TVM's session; call its functions through `guarded`.
    where
        The board, for messages.
    board
        The same, of those that a tracker hands out.
    """

    def __init__(
        self, connection: Any, where: str, board: Remote, own_socket: socket.socket
    ) -> None:
        self.connection, self.where, self.board = connection, where, board
        self._socket = own_socket

    def guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` of the connection, that raises DeviceError for what the board reports and
        LinkDroppedError where it cannot be asked."""

        def call(*arguments: Any) -> Any:
            from tvm.error import RPCError

            try:
                return function(*arguments)
            except HetcompError:
                raise
            except RPCError as error:
                raise DeviceError(f"{self.where} says: {_text(error)}") from error
            except (OSError, RuntimeError) as error:
                text = f"the link to {self.where} dropped: {_text(error)}"
                raise LinkDroppedError(text, self.board) from error

        return call

    def end(self) -> None:
        """Hang up, which ends the session there; nothing is said or waited for."""
        with suppress(OSError):  # down already, or closed by the first of two calls
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def connect(remote: Remote, session_s: float = SESSION_S, patience_s: float = _ENDS_S) -> Link:
    """Begin a session.

    Parameters
    ----------
    remote
        The board.
    session_s
        After which the board ends it.
    patience_s
        How long to wait for the end of the session that the board has.

    Raises
    ------
    LinkError
        The board does not answer, or serves somebody else.
    InputError
        Something else listens there.
    """
    from tvm import rpc

    _await_end(remote, patience_s)
    address = request(remote, _FREE_S)
    before = _open_files()
    try:
        with _hung_up_after(_GREETING_S, address, before):
            connection = rpc.connect(address.host, address.port, address.match, int(session_s))
    except (OSError, RuntimeError) as error:
        raise LinkError(f"{remote.text} refused the connection: {_text(error)}") from error
    board = Remote(address.host, address.port)
    return Link(connection, remote.text, board, _probed(address, before))


@contextmanager
def _hung_up_after(
    limit_s: float, address: Address, before: set[tuple[int, str]]
) -> Iterator[None]:
    """End a connection to `address` that is not made by then, for which TVM would wait for ever."""

    def hang_up() -> None:
        found = _own_socket(address, before)
        if found is None:
            return  # not connected yet, for which the system has a limit
        late.set()
        with found, suppress(OSError):  # down already
            found.shutdown(socket.SHUT_RDWR)

    late = threading.Event()
    timer = threading.Timer(limit_s, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, RuntimeError) as error:
        if late.is_set():
            raise TimeoutError(f"it said nothing for {limit_s:g} s") from error
        raise
    finally:
        timer.cancel()


def _await_end(remote: Remote, patience_s: float) -> None:
    """Wait until a board serves nobody; the tracker looks after those that it hands out."""
    end = time.monotonic() + patience_s
    while (status := ask_status(remote)).serves and not remote.key:
        if time.monotonic() > end:
            raise LinkError(
                f"{remote.text} serves {status.serves}, for {status.serves_s:.0f} s by now; "
                "it has one session at a time"
            )
        time.sleep(_POLL_S)


def _open_files() -> set[tuple[int, str]]:
    """Numbers of open files, and what each is."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own folder is closed by now
            found.add((int(number), os.readlink(f"/proc/self/fd/{number}")))
    return found


def _probed(address: Address, before: set[tuple[int, str]]) -> socket.socket:
    """TVM's socket to `address`, with probes: it has none."""
    own = _own_socket(address, before)
    if own is None:
        raise LinkError(f"the connection to {address.host}:{address.port} is down already")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_S)
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _BETWEEN_S)
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MS)
    return own


def _own_socket(address: Address, before: set[tuple[int, str]]) -> socket.socket | None:
    """TVM's socket to `address`, once more, as it does not show it; None: there is none."""
    for number, what in sorted(_open_files() - before):
        if not what.startswith("socket:"):
            continue
        try:
            own = socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM)
        except OSError:
            continue  # closed by now
        if _leads_to(own, address):
            return own
        own.close()
    return None


def _leads_to(own: socket.socket, address: Address) -> bool:
    try:
        return bool(own.getpeername()[1] == address.port)
    except (OSError, IndexError):
        return False


def _text(error: BaseException) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
