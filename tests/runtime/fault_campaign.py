"""Strikes every OpenCL call of a run, one run each, in forked processes.

A run opens the stand-in model through `tests/support/faulty_opencl.cc`, infers, closes, opens it
again and infers again. However the struck call fails, every result must be right or one clear
error must say what failed, in bounded time, and nothing that was made may be left over.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
import standin

from hetcomp.codegen.toolchain import runtime_folder
from hetcomp.errors import HetcompError
from hetcomp.runtime import Session, load

__all__ = ["Fault", "Mode", "Outcome", "Scenario", "Shim", "build_shim", "campaign", "count_calls"]

FOR_EVER = 1 << 60
TIMEOUT_MS = 150.0
INFERENCES = 3


class Mode(IntEnum):
    """What the shim does; see faulty_opencl.cc."""

    FORWARD = 0
    FAIL = 1
    DELAY = 2
    ODD_CODE = 3
    SKIP = 4
    NOISE = 5


@dataclass(frozen=True)
class Fault:
    """The calls [first, last], counted from 1, and what becomes of them."""

    mode: Mode
    first: int
    last: int
    code: int = 0

    def at(self, call: int) -> Fault:
        """The same, later."""
        return replace(self, first=call, last=call + self.last - self.first)


@dataclass(frozen=True)
class Scenario:
    """What a run does beside the fault."""

    model: Path
    shim: Path
    plan: str = "mixed"
    chain: str = "auto"
    ahead: str = "on"


@dataclass(frozen=True)
class Outcome:
    """How one run ended.

    `verdict` is `right`, `error` (one clear error), or what must not be: `wrong`, `leak`, `crash`,
    `hang`, `strange` (an error that is not ours).
    """

    fault: Fault
    verdict: str
    note: str
    seconds: float


class Shim:
    """The library, loaded into this process."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.faulty_struck.restype = ctypes.c_char_p
        for name in ("calls", "kernels", "programs", "memories"):
            getattr(self._library, f"faulty_{name}").restype = ctypes.c_int64

    def order(self, fault: Fault) -> None:
        """Strike from now on, counting calls anew."""
        first, last = ctypes.c_int64(fault.first), ctypes.c_int64(fault.last)
        delay_us = int(TIMEOUT_MS * 1.5e3)
        self._library.faulty_orders(int(fault.mode), first, last, fault.code, delay_us)

    @property
    def calls(self) -> int:
        """Calls since the last order."""
        return int(self._library.faulty_calls())

    @property
    def struck(self) -> str:
        """The function that was struck last."""
        return str(self._library.faulty_struck().decode())

    def alive(self) -> dict[str, int]:
        """Objects made and not released."""
        names = ("kernels", "programs", "memories")
        return {name: int(getattr(self._library, f"faulty_{name}")()) for name in names}


def build_shim(folder: Path) -> Path:
    """Compile the shim into `folder`."""
    source = Path(__file__).parents[1] / "support" / "faulty_opencl.cc"
    output = folder / "libfaulty.so"
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-Wall", f"-I{runtime_folder() / 'src'}"]
    subprocess.run(["g++", *flags, str(source), "-o", str(output), "-ldl"], check=True)
    return output


def count_calls(scenario: Scenario) -> int:
    """OpenCL calls of a run without a fault."""
    (outcome,) = campaign(scenario, [Fault(Mode.FORWARD, 0, 0)], jobs=1)
    if outcome.verdict != "right":
        raise RuntimeError(f"a run without a fault ended {outcome.verdict}: {outcome.note}")
    return int(outcome.note)


def campaign(
    scenario: Scenario, faults: Iterable[Fault], *, jobs: int = 4, limit_s: float = 60.0
) -> Iterator[Outcome]:
    """One forked process a fault, `jobs` at a time; a run beyond `limit_s` hangs."""
    waiting = iter(faults)
    running: dict[int, _Child] = {}
    while True:
        while len(running) < jobs and (fault := next(waiting, None)) is not None:
            child = _Child(scenario, fault)
            running[child.pipe] = child
        if not running:
            return
        ready, _, _ = select.select(list(running), [], [], 0.5)
        now = time.monotonic()
        for pipe, child in list(running.items()):
            if pipe in ready or now - child.start > limit_s:
                del running[pipe]
                yield child.finish(hung=pipe not in ready)


class _Child:
    """A forked run, which writes "verdict note" to a pipe at its end."""

    def __init__(self, scenario: Scenario, fault: Fault) -> None:
        self.fault = fault
        self.start = time.monotonic()
        self.pipe, answer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.write(answer, " ".join(_run(scenario, fault)).encode())
            finally:
                os._exit(0)
        os.close(answer)

    def finish(self, *, hung: bool) -> Outcome:
        """Collect the process; one that is silent has crashed."""
        if hung:
            os.kill(self._pid, signal.SIGKILL)
        text = b"" if hung else os.read(self.pipe, 4000)
        os.close(self.pipe)
        _, status = os.waitpid(self._pid, 0)
        verdict, _, note = text.decode(errors="replace").partition(" ")
        if hung:
            verdict = "hang"
        elif not verdict:
            verdict, note = "crash", f"status {status}"
        return Outcome(self.fault, verdict, note, time.monotonic() - self.start)


def _run(scenario: Scenario, fault: Fault) -> tuple[str, str]:
    shim = Shim(scenario.shim)
    shim.order(fault)
    try:
        verdict, note = _infer(scenario)
    except HetcompError as error:
        verdict, note = "error", f"{shim.struck}: {error}"
    except BaseException:
        return "strange", f"{shim.struck}: {traceback.format_exc()}"
    if verdict in ("right", "error") and fault.mode is not Mode.FORWARD:
        left = {name: count for name, count in shim.alive().items() if count > _KEPT[name]}
        if left:
            return "leak", f"{shim.struck}: {left}"
    return verdict, note if fault.mode is not Mode.FORWARD else str(shim.calls)


# What a device that is given up keeps on purpose, since its kernels may be running still.
_KEPT = {"kernels": 100, "programs": 1, "memories": 10}


def _infer(scenario: Scenario) -> tuple[str, str]:
    notes = []
    for inferences in (INFERENCES, 1):
        with _load(scenario) as session:
            for seed in range(inferences):
                if not _right(session, seed):
                    return "wrong", f"inference {seed}"
            notes.append(session.status().why_no_gpu)
    return "right", " | ".join(notes)


def _load(scenario: Scenario) -> Session:
    return load(
        scenario.model,
        plan=scenario.plan,
        chain=scenario.chain,
        ahead=scenario.ahead,
        timeout_ms=TIMEOUT_MS,
        opencl_library=scenario.shim,
        quiet=True,
    )


def _right(session: Session, seed: int) -> bool:
    feeds = standin.feeds(seed)
    expected = standin.reference(feeds["x"], feeds["y"])
    results = session.run(feeds)
    return all(np.array_equal(results[name], array) for name, array in expected.items())


def summary(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many ended how."""
    return dict(Counter(outcome.verdict for outcome in outcomes))
