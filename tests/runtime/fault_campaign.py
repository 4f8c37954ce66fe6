"""Strikes every OpenCL call and every allocation of a run, one run each, in forked processes.

    python tests/runtime/fault_campaign.py [--every N] [--kinds fail,lost] [--scenarios event] ...

A run opens the stand-in model through `tests/support/faulty_opencl.cc`, infers, closes, opens it
again and infers again. However the struck call fails, every result must be right or one clear
error must say what failed, in bounded time, and nothing that was made may be left over.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fault_scenarios import SCENARIOS, Answer, Files, Scenario, build, perform
from fault_shim import KINDS, Fault, Mode

__all__ = ["Outcome", "Subject", "campaign", "prepare"]

_NONE = Fault(Mode.FORWARD, 0, 0)
_AGAIN = 2


@dataclass(frozen=True)
class Outcome:
    """How one run ended: as its `Answer` says, or by `crash` or `hang`."""

    fault: Fault
    answer: Answer
    seconds: float


@dataclass(frozen=True)
class Subject:
    """A scenario, and what a run of it without a fault does."""

    files: Files
    scenario: Scenario
    usual: Answer

    def points(self, kind: str) -> int:
        """How many calls, or allocations, such a fault can strike."""
        return self.usual.allocations if KINDS[kind].mode is Mode.HOST else self.usual.calls


def prepare(files: Files, scenario: Scenario) -> Subject:
    """Run without a fault, and fill the cache that a scenario wants."""
    bare = Subject(files, scenario, Answer(left=dict.fromkeys(("kernels", "programs"), 0)))
    if scenario.cache == "warm" and not files.warm_cache.exists():
        prepare(files, replace(scenario, cache="fill"))
    bare.usual.left["memories"] = 0
    (outcome,) = campaign(bare, [_NONE])
    if outcome.answer.verdict != "right":
        raise RuntimeError(f"a run without a fault ended so: {outcome.answer}")
    return replace(bare, usual=outcome.answer)


def campaign(
    subject: Subject, faults: Iterable[Fault], jobs: int = 1, limit_s: float = 60.0
) -> Iterator[Outcome]:
    """One forked process a fault, `jobs` at a time; a run beyond `limit_s` hangs."""
    waiting = iter(faults)
    running: dict[int, _Child] = {}
    while True:
        while len(running) < jobs and (fault := next(waiting, None)) is not None:
            child = _Child(subject, fault)
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
    """A forked run, which writes its answer to a pipe at its end."""

    def __init__(self, subject: Subject, fault: Fault) -> None:
        self.fault = fault
        self.start = time.monotonic()
        self.pipe, writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the driver's compiler talks
                answer = perform(subject.files, subject.scenario, fault, subject.usual.left)
                answer.note = answer.note[-2000:]
                os.write(writer, json.dumps(asdict(answer)).encode())
            finally:
                os._exit(0)
        os.close(writer)

    def finish(self, *, hung: bool) -> Outcome:
        """Collect the process; one that is silent has crashed."""
        if hung:
            os.kill(self._pid, signal.SIGKILL)
        text = b"" if hung else os.read(self.pipe, 1 << 16)
        os.close(self.pipe)
        _, status = os.waitpid(self._pid, 0)
        if text:
            answer = Answer(**json.loads(text))
        else:
            answer = Answer("hang") if hung else Answer("crash", f"status {status}")
        return Outcome(self.fault, answer, time.monotonic() - self.start)


def main() -> int:
    """Print one JSON object a scenario and kind of fault; exit status 1 unless all went well."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--every", type=int, default=1, help="strike every N-th call only")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit-s", type=float, default=60.0, help="beyond it a run hangs")
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    bad, total = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        files = build(Path(folder))
        for name in given.scenarios.split(","):
            subject = prepare(files, SCENARIOS[name])
            for number, kind in enumerate(kinds):
                first = 1 + number * given.every // len(kinds)  # every kind strikes other calls
                calls = range(first, subject.points(kind) + 1, given.every)
                faults = [KINDS[kind].at(call) for call in calls]
                found = list(campaign(subject, faults, given.jobs, given.limit_s))
                found = [_confirmed(subject, outcome, given.limit_s) for outcome in found]
                bad += _report(name, kind, subject.points(kind), found)
                total.update(outcome.answer.verdict for outcome in found)
    print(json.dumps({"total": total.total(), "outcomes": dict(total)}))
    return 1 if bad else 0


_GOOD = ("right", "error", "dropped")


def _confirmed(subject: Subject, outcome: Outcome, limit_s: float) -> Outcome:
    """Late counts where it is so again, alone: threads may have waited for a core."""
    for _ in range(_AGAIN):
        if outcome.answer.verdict == "late":
            (outcome,) = campaign(subject, [outcome.fault], limit_s=limit_s)
    return outcome


def _report(scenario: str, kind: str, calls: int, found: list[Outcome]) -> int:
    """Print what came of one kind of fault; how many runs ended as none should."""
    bad = [outcome for outcome in found if outcome.answer.verdict not in _GOOD]
    row = {"scenario": scenario, "kind": kind, "calls": calls, "points": len(found)}
    names = sorted({name for outcome in found for name in outcome.answer.longest})
    row |= {"longest_s": {name: _longest(name, found) for name in names}}
    row |= {"outcomes": dict(Counter(outcome.answer.verdict for outcome in found))}
    row |= {"bad": [[o.fault.first, o.answer.verdict, o.answer.note[-600:]] for o in bad]}
    print(json.dumps(row), flush=True)
    return len(bad)


def _longest(name: str, found: list[Outcome]) -> float:
    return round(max(outcome.answer.longest.get(name, 0.0) for outcome in found), 3)


if __name__ == "__main__":
    sys.exit(main())
