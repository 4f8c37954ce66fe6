"""Measures trials on a board over RPC: what crashes or hangs there costs only itself, and where the
link drops the trial is measured again once the board is back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hetcomp.errors import DeviceError, LinkError
from hetcomp.remote import Lost, Remote, connect, why_lost
from hetcomp.tune.evaluate import Evaluation, Protocol
from hetcomp.tune.outcome import Outcome

__all__ = ["BoardRunner", "Evaluator"]

Evaluator = Callable[[Any, Callable[[Any], Any], Protocol], Evaluation]

_TRIES = 4
_USES = 64
"""Trials of one process here, which keeps nothing of them but what TVM's client leaks."""
_SPARE_S = 60.0
"""How much longer than the board's limit the process here may take: to connect and to send."""
_NAME = "trial.so"
_TAIL = 300
"""Characters of an error that are kept."""


class BoardRunner:
    """Measures built trials, each in a session of its own.

    Parameters
    ----------
    remote
        The board.
    run_seconds
        Time limit of a trial there.
    evaluator
        What the measuring process calls.
    """

    def __init__(self, remote: Remote, run_seconds: float, evaluator: Evaluator) -> None:
        self._remote, self._run_seconds, self._evaluator = remote, run_seconds, evaluator
        self._pool: Any = None

    def close(self) -> None:
        """End the measuring process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
        self._pool = None

    def measure(self, artifact: Path, protocol: Protocol) -> Outcome:
        """Measure the .so `artifact`.

        Raises
        ------
        LinkError
            The board did not come back after the link dropped, or it drops all the time.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                return Outcome(Evaluation.from_floats(self._once(artifact, protocol), protocol))
            except DeviceError as error:
                return Outcome(None, "error", str(error)[-_TAIL:])
            except TimeoutError:
                return Outcome(None, "timeout", f"not measured within {self._run_seconds:.0f} s")
            except LinkError:
                lost, why = why_lost(self._remote)
                if lost is not Lost.LINK:
                    return Outcome(None, lost.value, why)
                if attempt == _TRIES:
                    raise
        raise AssertionError("not reached")

    def _once(self, artifact: Path, protocol: Protocol) -> list[float]:
        from tvm.support.popen_pool import PopenPoolExecutor

        if self._pool is None:
            limit_s = self._run_seconds + _SPARE_S
            self._pool = PopenPoolExecutor(
                max_workers=1, timeout=limit_s, maximum_process_uses=_USES
            )
        arguments = (self._evaluator, self._remote, self._run_seconds, artifact, protocol)
        flat: list[float] = self._pool.submit(_measured, *arguments).result()
        return flat


def _measured(
    evaluator: Evaluator, remote: Remote, limit_s: float, artifact: Path, protocol: Protocol
) -> list[float]:
    """Called in the process."""
    from tvm.runtime import tensor

    link = connect(remote, limit_s)

    def evaluated() -> list[float]:
        connection = link.connection
        connection.upload(str(artifact), _NAME)
        device = connection.cpu(0)
        module = connection.load_module(_NAME)
        return evaluator(module, lambda array: tensor(array, device), protocol).to_floats()

    try:
        found: list[float] = link.guarded(evaluated)()
    finally:
        link.end()
    return found
