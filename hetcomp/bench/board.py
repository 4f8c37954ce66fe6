"""Whole networks on a board: opened by its server, timed by its clock, verified here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import hetcomp
from hetcomp.bench.reference import Array
from hetcomp.bench.timing import Arm
from hetcomp.device_class import find_groups
from hetcomp.remote import Remote
from hetcomp.runtime import Session
from hetcomp.runtime.remote_session import remote_process
from hetcomp.targets import target_for

__all__ = ["Opener", "has_group_kernels", "opener", "plan_arm"]

Opener = Callable[..., Session]


@contextmanager
def opener(rpc: str) -> Iterator[Opener]:
    """What opens model.so files with options of `hetcomp.load`: here, or in a process on the board
    at `rpc`, which ends with the context. Sessions of one process share its cores and device."""
    if not rpc:
        yield partial(hetcomp.load, quiet=True)
        return
    with remote_process(Remote.parse(rpc)) as process:

        def opened(path: Path, **options: Any) -> Session:
            return process.open(path, **options).session

        yield opened


def plan_arm(name: str, session: Session, feeds: Mapping[str, Array], rpc: str) -> Arm:
    """Inferences of `session` as something to time."""

    def times_ms(reps: int) -> list[float]:
        return [run.total_us / 1e3 for run in session.profile(reps, feeds).runs]

    return Arm(name, partial(session.run, feeds), times_ms if rpc else None)


def has_group_kernels(device_class: str, rpc: str) -> bool:
    """Whether the machine's OpenCL kernels are of class `gpu`."""
    gpu = target_for("host", rpc).gpu if rpc else None
    find = find_groups if gpu is None else partial(gpu.groups_for, opencl_f16="off")
    return find(device_class) is not None
