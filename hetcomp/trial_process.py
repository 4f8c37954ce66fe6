"""Plan `auto` measured in a process of its own, which ends.

What a driver keeps of its compiler, the trial's weights and its arena are never in the memory of
the process that compiles. And a driver that crashes or hangs costs the measurements, no more.

The process gets the trial's path and the options pickled on its standard input, which stays open
as long as it is wanted. It answers in lines of JSON: what it is about, and at the end the
placement or an error.
"""

from __future__ import annotations

import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from hetcomp import errors
from hetcomp.errors import DeviceError, HetcompError, InternalError
from hetcomp.goal import Goal
from hetcomp.memory import peak_bytes
from hetcomp.options import CompileOptions
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.placement import Placement
from hetcomp.plan.plan import Plan
from hetcomp.plan.simulation_note import noted_simulator

__all__ = ["SILENCE_S", "main", "measured_apart"]

Progress = Callable[[str, float], None]

SILENCE_S = 600.0
"""Longest time without a word, after which the driver counts as hung. Its compiler alone may take
five minutes. Where the process waits for a lock it is not limited."""
_CHUNK = 1 << 16


def measured_apart(
    graph: TaskGraph,
    options: CompileOptions,
    trial: Path,
    progress: Progress,
    *,
    silence_s: float = SILENCE_S,
) -> Placement:
    """`hetcomp.auto_plan.measured_placement` in another process.

    Raises
    ------
    DeviceError
        The process crashed or hung, or OpenCL failed in it.
    HetcompError
        Whatever else `measured_placement` raises.
    """
    limit_s = None if options.lock else silence_s
    with _started(trial, options) as process:
        for answer in _answers(process, limit_s):
            if "progress" in answer:
                progress(*answer["progress"])
            elif "error" in answer:
                raise _error(*answer["error"])
            else:
                return _placement(graph, options.goal, answer["placement"])
        raise DeviceError(f"the process that measures {_end(process.wait())}")


@contextmanager
def _started(trial: Path, options: CompileOptions) -> Iterator[subprocess.Popen[bytes]]:
    # With the path of this process, so that it finds the same modules.
    text = f"import sys; sys.path[:] = sys.argv[1:]; from {__name__} import main; main()"
    command, pipe = [sys.executable, "-c", text, *sys.path], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0) as process:
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it has ended, as will be seen
                process.stdin.write(pickle.dumps((trial, options)))
            yield process
        finally:
            process.kill()


def _answers(process: subprocess.Popen[bytes], limit_s: float | None) -> Iterator[dict[str, Any]]:
    """What the process says, until it ends; raises DeviceError where it says nothing."""
    assert process.stdout is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(limit_s):
                raise DeviceError(f"the driver hangs: nothing came of it for {limit_s:.0f} s")
            chunk = os.read(process.stdout.fileno(), _CHUNK)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            yield from map(json.loads, lines)


def _error(kind: str, text: str) -> HetcompError:
    known: type[HetcompError] = getattr(errors, kind)
    return known(text)


def _end(status: int) -> str:
    """How a process ended."""
    if status >= 0:
        return f"ended without an answer, with status {status}"
    hint = " (memory ran out?)" if status == -signal.SIGKILL else ": a driver's crash, as a rule"
    return f"was ended by {signal.Signals(-status).name}{hint}"


def _placement(graph: TaskGraph, goal: Goal, data: dict[str, Any]) -> Placement:
    plans, notes = tuple(map(Plan.from_json, data["plans"])), data["notes"]
    simulator = noted_simulator(graph, notes["simulation"]) if "simulation" in notes else None
    return Placement(plans, notes, simulator, goal, data["peak_bytes"])


def main() -> None:
    """The process's side."""
    say = _Speaker()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process decides
    trial, options = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    try:
        say(**_measured(trial, options, say))
    except HetcompError as error:
        say(error=[type(error).__name__, str(error)])
    except Exception as error:
        import traceback

        say(error=[InternalError.__name__, "".join(traceback.format_exception(error))])
    os._exit(0)  # drivers may hang at exit


def _measured(trial: Path, options: CompileOptions, say: _Speaker) -> dict[str, Any]:
    from hetcomp.auto_plan import measured_placement
    from hetcomp.cost.profile_file import load_profile

    profile = load_profile(options.profile) if options.profile else None
    placement = measured_placement(options, trial, say.progress, profile)
    plans = [plan.to_json() for plan in placement.plans]
    data = {"plans": plans, "notes": dict(placement.notes), "peak_bytes": peak_bytes()}
    return {"placement": data}


class _Speaker:
    """Writes answers to what was the standard output; what drivers print goes elsewhere."""

    def __init__(self) -> None:
        self._stream: IO[str] = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def __call__(self, **answer: Any) -> None:
        self._stream.write(json.dumps(answer) + "\n")
        self._stream.flush()

    def progress(self, text: str, done: float) -> None:
        """What is being done, and how much is done."""
        self(progress=[text, done])


def _end_with_the_other() -> None:
    """Wait for the end of the input: of the process that wants the answer."""
    sys.stdin.buffer.read()
    os._exit(1)
