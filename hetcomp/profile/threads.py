"""What several CPU threads gain, and what it costs them to meet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hetcomp.machine import Machine
from hetcomp.profile.probes import COMPUTE, FIRST, SMALL, room_of, whole
from hetcomp.profile.timing import Bench, in_a_row_us

__all__ = ["measure_threads"]

_STEPS = 16
_REPS = 10
_MOST = 16
"""Threads beyond which nothing is measured."""


def measure_threads(
    path: Path, machine: Machine, lock: Path | None, cores: int
) -> Mapping[str, float]:
    """By number of threads: speed-up of a product within the caches (`compute`) and of a copy
    beyond them (`memory`), and microseconds that a step takes longer (`join_us`)."""
    alone = _step_times_us(path, machine, lock, 1)
    found = {}
    threads = 2
    while threads <= min(cores, _MOST):
        times = _step_times_us(path, machine, lock, threads)
        found[f"{threads}.compute"] = alone["compute"] / times["compute"]
        found[f"{threads}.memory"] = alone["memory"] / times["memory"]
        found[f"{threads}.join_us"] = max(0.0, times["small"] - alone["small"])
        threads *= 2
    return found


def _step_times_us(
    path: Path, machine: Machine, lock: Path | None, threads: int
) -> Mapping[str, float]:
    with machine.open(path, plan="cpu", threads=threads) as session:
        bench, room = Bench(session, lock), room_of(session.graph)
        layout = room.layout({FIRST: (0, 1)})
        steps = {
            "compute": whole(room.graph, COMPUTE),
            "memory": room.block(FIRST, room.block_bytes),
            "small": whole(room.graph, SMALL),
        }
        return {
            name: in_a_row_us(bench, layout, step, "cpu", steps=_STEPS, reps=_REPS)
            for name, step in steps.items()
        }
