"""Builds and measures trials in worker processes: a candidate that hangs or crashes costs itself.

Both workers are TVM's: its process pool builds, its runner measures. They live on from trial to
trial and are replaced when they die or exceed their time. On a board `hetcomp.tune.board_runner`
measures.
"""

from __future__ import annotations

import functools
import itertools
import tempfile
from pathlib import Path
from typing import Any

from hetcomp.codegen.toolchain import runtime_objects
from hetcomp.remote import Remote
from hetcomp.tune.board_runner import BoardRunner, Evaluator
from hetcomp.tune.evaluate import Evaluation, Protocol, evaluate
from hetcomp.tune.outcome import DIED, Outcome, failed
from hetcomp.tune.trial import Trial, build_trial

__all__ = ["Outcome", "TrialRunner"]

_MOST_USES = 16
"""Trials of one measuring process."""


class TrialRunner:
    """Builds and measures one trial at a time; a context manager that ends its processes.

    Parameters
    ----------
    remote
        Where to measure; None: here.
    build_seconds, run_seconds
        Time limits of a trial.
    evaluator
        What the measuring process calls.
    """

    def __init__(
        self,
        remote: Remote | None = None,
        *,
        build_seconds: float = 60.0,
        run_seconds: float = 60.0,
        evaluator: Evaluator = evaluate,
    ) -> None:
        self._evaluator = evaluator
        self._board = None if remote is None else BoardRunner(remote, run_seconds, evaluator)
        self._build_seconds, self._run_seconds = build_seconds, run_seconds
        self._folder = tempfile.TemporaryDirectory(prefix="hetcomp-tune-")
        self._numbers = itertools.count()
        self._builder: Any = None
        self._runner: Any = None
        self._protocol: Protocol | None = None
        self._uses = 0

    def __enter__(self) -> TrialRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes and remove what they built."""
        if self._builder is not None:
            self._builder.shutdown(wait=False)
        self._stop_runner()
        if self._board is not None:
            self._board.close()
        self._builder = None
        self._folder.cleanup()

    def run(self, trial: Trial, protocol: Protocol) -> Outcome:
        """Build `trial` and measure it.

        Raises
        ------
        LinkError
            The board did not come back after the link dropped.
        """
        artifact = Path(self._folder.name) / f"trial{next(self._numbers)}.so"
        try:
            self._build_pool().submit(build_trial, trial, artifact).result()
        except TimeoutError:
            return Outcome(None, "timeout", f"not built within {self._build_seconds:.0f} s")
        except ChildProcessError:
            return Outcome(None, "crash", "the compiler's process died")
        except Exception as error:  # a candidate's failure is a result, not an error of ours
            return failed("build", error)
        try:
            measure = self._measure if self._board is None else self._board.measure
            return measure(artifact, protocol)
        finally:
            artifact.unlink(missing_ok=True)

    def _measure(self, artifact: Path, protocol: Protocol) -> Outcome:
        from tvm.s_tir.meta_schedule.runner import RunnerInput

        (future,) = self._runner_for(protocol).run([RunnerInput(str(artifact), "cpu", [])])
        result = future.result()
        if result.run_secs is not None:
            flat = [float(value) for value in result.run_secs]
            return Outcome(Evaluation.from_floats(flat, protocol))
        message = str(result.error_msg)
        if "Timeout" in message:
            return Outcome(None, "timeout", f"not measured within {self._run_seconds:.0f} s")
        if "Subprocess terminated" in message:
            return Outcome(None, "crash", DIED)
        return failed("error", message)

    def _build_pool(self) -> Any:
        from tvm.support.popen_pool import PopenPoolExecutor

        if self._builder is None:
            runtime_objects()  # compiled once a machine, which no trial's time should pay for
            self._builder = PopenPoolExecutor(max_workers=1, timeout=self._build_seconds)
        return self._builder

    def _runner_for(self, protocol: Protocol) -> Any:
        """A runner that measures so; kept, as its worker has TVM loaded, but not for long, as every
        model.so stays in the worker's memory."""
        if protocol != self._protocol or self._uses >= _MOST_USES:
            self._stop_runner()
        if self._runner is None:
            self._protocol, self._uses = protocol, 0
            self._runner = self._local_runner(protocol)
        self._uses += 1
        return self._runner

    def _stop_runner(self) -> None:
        if self._runner is not None:
            self._runner.pool.shutdown(wait=False)
        self._runner = None

    def _local_runner(self, protocol: Protocol) -> Any:
        from tvm.s_tir.meta_schedule.runner import LocalRunner

        return LocalRunner(
            timeout_sec=self._run_seconds,
            f_alloc_argument=_no_arguments,
            f_run_evaluator=functools.partial(_evaluate, self._evaluator, protocol),
        )


def _no_arguments(*_: object) -> list[list[Any]]:
    """A trial brings its own data; called by TVM's runner in its worker."""
    return []


def _evaluate(
    evaluator: Evaluator, protocol: Protocol, module: Any, device: Any, *_: object
) -> list[float]:
    """What TVM's local runner calls in its worker."""
    import tvm

    return evaluator(module, lambda a: tvm.runtime.tensor(a, device), protocol).to_floats()
