"""Measures trials on a board over RPC: what crashes or hangs there costs only itself, and where the
link drops the trial is measured again once the board is back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hetcomp.errors import HetcompError, LinkError
from hetcomp.remote import Remote, SessionLostError, connect, held
from hetcomp.tune.evaluate import Evaluation, Protocol
from hetcomp.tune.outcome import DIED, Outcome, failed
from hetcomp.worker import call_in

__all__ = ["BoardRunner", "Evaluator"]

Evaluator = Callable[[Any, Callable[[Any], Any], Protocol], Evaluation]

_LOG = logging.getLogger(__name__)
_USES = 64
"""Trials of one process here, which keeps nothing of them but what TVM's client leaks."""
_SPARE_S = 60.0
"""How much longer than the board's limit the process here may take: to connect and to send."""
_NAME = "trial.so"


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
        try:
            flat = held(lambda: self._once(artifact, protocol), self._remote, _LOG.info)
        except SessionLostError as error:
            return failed(error.how.value, error)
        except LinkError:
            raise
        except HetcompError as error:
            return failed("error", error)
        except TimeoutError:
            return Outcome(None, "timeout", f"not measured within {self._run_seconds:.0f} s")
        except ChildProcessError:
            return Outcome(None, "crash", DIED)
        return Outcome(Evaluation.from_floats(flat, protocol))

    def _once(self, artifact: Path, protocol: Protocol) -> list[float]:
        from tvm.support.popen_pool import PopenPoolExecutor

        if self._pool is None:
            limit_s = self._run_seconds + _SPARE_S
            self._pool = PopenPoolExecutor(
                max_workers=1, timeout=limit_s, maximum_process_uses=_USES
            )
        arguments = (self._evaluator, self._remote, self._run_seconds, artifact, protocol)
        return call_in(self._pool, _measured, *arguments)


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
