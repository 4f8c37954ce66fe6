"""Strikes every OpenCL call of a run, one run each, in forked processes.

    python tests/runtime/fault_campaign.py [--every N] [--kinds fail,lost] [--tier event] ...

A run opens the stand-in model through `tests/support/faulty_opencl.cc`, infers, closes, opens it
again and infers again. However the struck call fails, every result must be right or one clear
error must say what failed, in bounded time, and nothing that was made may be left over.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
import standin

from hetcomp.codegen.toolchain import runtime_folder
from hetcomp.errors import HetcompError
from hetcomp.runtime import Session, load

__all__ = ["KINDS", "Fault", "Mode", "Outcome", "Scenario", "Shim", "campaign", "count_calls"]

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


KINDS = {
    "fail": Fault(Mode.FAIL, 1, 1, -5),
    "unavailable": Fault(Mode.FAIL, 1, 1, -2),
    "memory": Fault(Mode.FAIL, 1, 1, -6),
    "invalid": Fault(Mode.FAIL, 1, 1, -30),
    "delay": Fault(Mode.DELAY, 1, 1),
    "odd": Fault(Mode.ODD_CODE, 1, 1),
    "skip": Fault(Mode.SKIP, 1, 1),
    "noise": Fault(Mode.NOISE, 1, 1),
    "lost": Fault(Mode.FAIL, 1, FOR_EVER, -2),
    "exhausted": Fault(Mode.FAIL, 1, FOR_EVER, -5),
}
"""Faults by name, at the first call. In the last two the device does not come back."""


@dataclass(frozen=True)
class Scenario:
    """What a run does beside the fault."""

    model: Path
    shim: Path
    plan: str = "mixed"
    chain: str = "auto"
    ahead: str = "on"
    tier: str = "auto"


@dataclass(frozen=True)
class Outcome:
    """How one run ended.

    `verdict` is `right`, `error` (one clear error), `dropped`, or what must not be: `wrong`,
    `leak`, `crash`, `hang`, `strange` (an error that is not ours). `dropped` is a wrong result
    where the driver has said that it has enqueued a launch or set an argument, and has done
    nothing: a caller cannot tell.
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


def build_shim(folder: Path, *options: str) -> Path:
    """Compile the shim into `folder`."""
    source = Path(__file__).parents[1] / "support" / "faulty_opencl.cc"
    output = folder / "libfaulty.so"
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-Wall", f"-I{runtime_folder() / 'src'}"]
    subprocess.run(["g++", *flags, *options, str(source), "-o", str(output), "-ldl"], check=True)
    return output


def count_calls(scenario: Scenario) -> int:
    """OpenCL calls of a run without a fault."""
    (outcome,) = campaign(scenario, [Fault(Mode.FORWARD, 0, 0)])
    if outcome.verdict != "right":
        raise RuntimeError(f"a run without a fault ended {outcome.verdict}: {outcome.note}")
    return int(outcome.note)


def campaign(
    scenario: Scenario, faults: Iterable[Fault], jobs: int = 1, limit_s: float = 60.0
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
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the driver's compiler talks
    try:
        verdict, note = _infer(scenario)
    except HetcompError as error:
        verdict, note = "error", f"{shim.struck}: {error}"
    except BaseException:
        return "strange", f"{shim.struck}: {traceback.format_exc()}"
    if verdict == "wrong":
        untold = fault.mode in (Mode.SKIP, Mode.NOISE) and shim.struck in _UNTOLD
        return "dropped" if untold else verdict, f"{shim.struck}: {note}"
    if verdict in ("right", "error") and fault.mode is not Mode.FORWARD:
        left = {name: count for name, count in shim.alive().items() if count > _KEPT[name]}
        if left and not shim.struck.startswith(("clCreate", "clRelease", "clSVM")):
            return "leak", f"{shim.struck}: {left}"
    return verdict, note if fault.mode is not Mode.FORWARD else str(shim.calls)


_UNTOLD = ("clEnqueueNDRangeKernel", "clSetKernelArg", "clSetKernelArgSVMPointer")

# What a device that is given up keeps on purpose, since its kernels may be running still. An object
# that came with an error, or whose release failed, is nobody's.
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
        tier=scenario.tier,
        timeout_ms=TIMEOUT_MS,
        opencl_library=scenario.shim,
        quiet=True,
    )


def _right(session: Session, seed: int) -> bool:
    feeds = standin.feeds(seed)
    expected = standin.reference(feeds["x"], feeds["y"])
    results = session.run(feeds)
    return all(np.array_equal(results[name], array) for name, array in expected.items())


def main() -> int:
    """Print one JSON object a kind of fault; exit status 1 unless all went well."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--every", type=int, default=1, help="strike every N-th call only")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit-s", type=float, default=60.0, help="beyond it a run hangs")
    parser.add_argument("--plan", default=Scenario.plan)
    parser.add_argument("--chain", default=Scenario.chain)
    parser.add_argument("--tier", default=Scenario.tier)
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = Scenario(
            *(standin.build(folder), build_shim(folder), given.plan, given.chain),
            tier=given.tier,
        )
        calls = count_calls(scenario)
        for number, kind in enumerate(kinds):
            first = 1 + number * given.every // len(kinds)  # every kind strikes other calls
            faults = [KINDS[kind].at(call) for call in range(first, calls + 1, given.every)]
            bad += _report(kind, calls, campaign(scenario, faults, given.jobs, given.limit_s))
    return 1 if bad else 0


_GOOD = ("right", "error", "dropped")


def _report(kind: str, calls: int, outcomes: Iterable[Outcome]) -> int:
    """Print what came of one kind of fault; how many runs ended as none should."""
    found = list(outcomes)
    bad = [outcome for outcome in found if outcome.verdict not in _GOOD]
    row = {"kind": kind, "calls": calls, "points": len(found)}
    row |= {"longest_s": round(max((outcome.seconds for outcome in found), default=0.0), 2)}
    row |= {"outcomes": dict(Counter(outcome.verdict for outcome in found))}
    row |= {"bad": [[o.fault.first, o.verdict, o.note[-600:]] for o in bad]}
    print(json.dumps(row), flush=True)
    return len(bad)


if __name__ == "__main__":
    sys.exit(main())
