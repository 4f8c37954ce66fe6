"""`CompileOptions(lock=...)`: plan `auto` measures tasks and plans undisturbed."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hetcomp
from hetcomp import auto_contest, auto_plan
from hetcomp.bench import zoo
from hetcomp.options import CompileOptions


def is_held(lock: Path) -> bool:
    with lock.open("a") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.usefixtures("opencl")
def test_auto_measures_under_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "lock"
    held: dict[str, bool] = {}

    def watch(module: ModuleType, name: str) -> None:
        real: Callable[..., Any] = getattr(module, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            held[name] = is_held(lock)
            return real(*arguments, **named)

        monkeypatch.setattr(module, name, watched)

    watch(auto_plan, "measure")
    watch(auto_contest, "time_tables")
    trial = tmp_path / "trial.so"
    hetcomp.compile(zoo.build("deepfm"), output=trial, options=CompileOptions(plan="cpu"))
    options = CompileOptions(measure_seconds=0.3, use_cache=False, lock=lock)
    auto_plan.measured_placement(options, trial, lambda _text, _done: None, None)
    assert held == {"measure": True, "time_tables": True}
    assert not is_held(lock)
