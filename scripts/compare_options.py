"""What an option of `hetcomp.load` costs or gains: one model opened in two ways, in turns.

    compare_options.py M.so --b '{"trace": true}'
    compare_options.py M.so --b '{"pipeline": "on"}' --requests 16
    compare_options.py M.so --a '{"plan": "gpu"}' --b '{"plan": "gpu", "chain": "off"}'
    compare_options.py M.so --a '{"plan": "cpu"}' --b '{"plan": "cpu", "verify": "off"}' --load

Without more, whole inferences are timed; with --requests so many that are submitted together, for
throughput; with --load the opening, each time in a new process, since weights are verified once a
process. Ratios are taken within a round: see `hetcomp.bench.timing`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hetcomp
from hetcomp.bench.timing import Arm, Samples, TimingOptions, interleave, ratio
from hetcomp.cli.feeds import random_feeds
from hetcomp.exclusive import exclusive

Options = dict[str, Any]

_OPEN = """
import json, sys, time, hetcomp
path, options = sys.argv[1], json.loads(sys.argv[2])
begin = time.perf_counter()
with hetcomp.load(path, quiet=True, **options):
    print((time.perf_counter() - begin) * 1e3)
"""
_LIMIT_S = 60.0


def inference(session: hetcomp.Session, requests: int) -> Callable[[], object]:
    """One call, or so many requests at the same time."""
    feeds = random_feeds(session.inputs, seed=0)
    if requests == 0:
        return lambda: session.run(feeds)
    return lambda: [r.result(_LIMIT_S) for r in [session.submit(feeds) for _ in range(requests)]]


def tell(sessions: dict[str, hetcomp.Session]) -> None:
    """How each session runs."""
    for name, session in sessions.items():
        status = session.status()
        print(f"{name}: plan {status.plan}, tier {status.tier}, {status.gpu_launches} launches")


def timed_inferences(
    path: Path, options: list[Options], timing: TimingOptions, requests: int
) -> tuple[Samples, ...]:
    """Either way of opening; says how each ran."""
    with ExitStack() as stack:
        sessions = {
            f"{name} {json.dumps(each)}": stack.enter_context(
                hetcomp.load(path, quiet=True, **each)
            )
            for name, each in zip("AB", options, strict=True)
        }
        tell(sessions)
        arms = [Arm(name, inference(session, requests)) for name, session in sessions.items()]
        a, b = interleave(arms, timing)
        print("afterwards:")
        tell(sessions)  # one that adapts may have changed its plan
        launches = [session.status().gpu_launches for session in sessions.values()]
    more = launches[1] - launches[0]
    if more > 0 and not requests:
        cost_us = (b.median_ms - a.median_ms) * 1e3 / more
        print(f"B - A: {cost_us:.2f} us for each of {more} launches more")
    return a, b


def timed_loads(path: Path, options: list[Options], rounds: int) -> tuple[Samples, ...]:
    """The time that `load` takes, as each process says itself."""

    def opened_ms(each: Options) -> float:
        command = [sys.executable, "-c", _OPEN, str(path), json.dumps(each)]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=_LIMIT_S
        )
        return float(done.stdout)

    found = [[(opened_ms(each),) for each in options] for _ in range(rounds)]
    return tuple(Samples(name, tuple(one[i] for one in found)) for i, name in enumerate("AB"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--a", type=json.loads, default={}, help="arguments of load(), as JSON")
    parser.add_argument("--b", type=json.loads, default={}, help="likewise")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--reps", type=int, default=10, help="timed inferences a turn")
    parser.add_argument("--requests", type=int, default=0, help="in flight together")
    parser.add_argument("--load", action="store_true", help="time the opening")
    parser.add_argument("--lock", type=Path, help="held, at real-time priority if allowed")
    given = parser.parse_args()
    options = [given.a, given.b]
    with exclusive(given.lock):
        if given.load:
            a, b = timed_loads(given.model, options, given.rounds)
        else:
            timing = TimingOptions(rounds=given.rounds, reps=given.reps, warmup=2, cap_seconds=60.0)
            a, b = timed_inferences(given.model, options, timing, given.requests)
    of_a = ratio(b, a)
    print(f"medians: A {a.median_ms:.3f} ms, B {b.median_ms:.3f} ms")
    print(
        f"B / A {of_a.median:.4f} (10th to 90th percentile {of_a.p10:.3f} to {of_a.p90:.3f}, "
        f"{len(a.rounds_ms)} rounds)"
    )
    if given.requests:
        rates = [1e3 * given.requests / each.median_ms for each in (a, b)]
        print(f"inferences a second: A {rates[0]:.1f}, B {rates[1]:.1f}")
    if given.load:
        size_gb = given.model.stat().st_size / 1e9
        print(f"A - B: {(a.median_ms - b.median_ms) * 1e-3 / size_gb:.2f} s per GB of the file")


if __name__ == "__main__":
    main()
