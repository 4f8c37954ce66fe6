"""A board for tests: `hetcomp_rpc` on the loopback, which can be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from hetcomp.remote import Remote, ask_status

_LIMIT_S = 300
"""After which a server that a test forgot is ended."""
_AWAY_S = 0.7
_WAIT_S = 30.0


class Board:
    """A context manager; `port` stays through restarts.

    Parameters
    ----------
    program
        The server.
    folder
        For its files.
    options
        Of its command line.
    emulator
        What runs it.
    environment
        Of the process; None: this one's.
    """

    def __init__(
        self,
        program: Path,
        folder: Path,
        options: Sequence[str] = (),
        emulator: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = environment
        self._command = [*emulator, str(program), "--folder", str(folder), *options]
        self._process: subprocess.Popen[str] | None = None
        self.folder = folder
        self.log = folder / "rpc.log"
        self.port = self.starts = 0

    @property
    def rpc(self) -> str:
        """As `--rpc` takes it."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Board:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGTERM)

    def start(self) -> None:
        """Start the server, again at the same port."""
        command = ["timeout", "--foreground", str(_LIMIT_S), *self._command]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if "listens at" not in line:
            raise RuntimeError(f"the server does not start: {self.log.read_text()}")
        self.port = int(line.rsplit(":", 1)[1])
        self.starts += 1

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the server; the default gives it no chance to say so."""
        assert self._process is not None
        for pid in children(self._process.pid):
            os.kill(pid, number)
        self._process.wait(30)

    def restart(self) -> None:
        """Kill the server, and start it again a while later."""
        self.stop()
        time.sleep(_AWAY_S)
        self.start()

    def sessions(self) -> list[int]:
        """The processes that serve clients, of which one may be about to start."""
        assert self._process is not None
        end = time.monotonic() + _WAIT_S
        while True:
            servers = children(self._process.pid)
            if found := [session for server in servers for session in children(server)]:
                return found
            if time.monotonic() > end:
                raise TimeoutError("there is no session")

    def kill_session(self) -> None:
        """End the process that serves the client, as a crash would: drivers may catch others."""
        for session in self.sessions():
            os.kill(session, signal.SIGKILL)


@contextmanager
def once_it_serves(
    board: Board, action: Callable[[], None], after_s: float = 0.7
) -> Iterator[None]:
    """Do `action` in another thread when `board` has served a client for so long."""

    def run() -> None:
        remote, end = Remote.parse(board.rpc), time.monotonic() + _WAIT_S
        while ask_status(remote).serves_s < after_s:
            if time.monotonic() > end:
                raise TimeoutError(f"nobody's session lasted {after_s} s")
            time.sleep(0.02)
        action()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(run)
        yield
        done.result(_WAIT_S)


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
