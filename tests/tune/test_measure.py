"""Measuring, on a session that plays a table on made-up task times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hetcomp.cost.cache import TimesCache
from hetcomp.cost.costs import SyncCost, TaskCost
from hetcomp.cost.work import Part
from hetcomp.plan.graph import Grid, Kernel, Space, Task, TaskGraph, Tensor
from hetcomp.plan.plan import Place
from hetcomp.plan.planners import single
from hetcomp.plan.simulate import measured_times
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import StepTable
from hetcomp.runtime.records import Profile, RunProfile, StepTimes
from hetcomp.tune.measure import MeasureOptions, measure
from hetcomp.tune.observed import gpu_times

SHORT = MeasureOptions(rounds=2, reps=1)
WAKE_US = 40.0
ROWS = 8


def graph_of(opencl: Sequence[bool]) -> TaskGraph:
    """A chain of tasks, each with a kernel of its own."""
    tensors = tuple(
        Tensor(f"t{i}", (32,), "float32", 128, Space.ARENA) for i in range(len(opencl) + 1)
    )
    kernels = tuple(
        Kernel(f"k{i}", 2, has, "" if has else "no", f"key{i}") for i, has in enumerate(opencl)
    )
    tasks = tuple(
        Task(f"task{i}", "conv2d", i, (i,), (i + 1,), Grid(ROWS), Grid(1), "rows", "")
        for i in range(len(opencl))
    )
    return TaskGraph("g", tensors, kernels, tasks, (0,), (len(opencl),), 0)


def took_us(task: int, processor: str, rows: int) -> float:
    """Task i takes 10 + i µs on the CPU and 20 + i µs on the GPU; of a part, 3 µs do not shrink."""
    whole_us = (10.0 if processor == "cpu" else 20.0) + task
    return 3.0 + (whole_us - 3.0) * rows / ROWS


@dataclass
class FakeSession:
    """Plays chains: one thing happens after the other; the device needs 40 µs to wake up."""

    graph: TaskGraph
    blind: bool = False
    preempted: bool = False
    runs_made: int = 0
    calls: list[str] = field(default_factory=list)
    table: StepTable | None = None

    def set_table(self, table: StepTable) -> None:
        self.table = table

    def profile(self, reps: int) -> Profile:
        assert self.table is not None
        self.calls.append(f"profile {self.table.name}")
        runs = [self._run() for _ in range(reps)]
        if self.preempted and self.table.gpu:
            runs = [_noticed_late(run, self.runs_made + i) for i, run in enumerate(runs)]
            self.runs_made += reps
        return Profile(self.table.name, tuple(runs))

    def time_task(
        self,
        task: int,
        processor: str,
        *,
        rows: Sequence[int],
        channels: Sequence[int],
        warmup: int,
        reps: int,
    ) -> tuple[float, ...]:
        self.calls.append(f"alone {task} {processor} {rows[1] - rows[0]}")
        return (took_us(task, processor, rows[1] - rows[0]),) * reps

    def run(self, feeds: Any) -> None:
        assert self.table is not None
        self.calls.append(f"run {self.table.name}")

    def _run(self) -> RunProfile:
        assert self.table is not None
        now = 0.0
        cpu: list[StepTimes] = []
        ends: list[float] = []
        steps = [(step.task, "cpu", step.row_end - step.row_begin) for step in self.table.cpu]
        steps += [(step.task, "gpu", step.row_end - step.row_begin) for step in self.table.gpu]
        for task, processor, rows in sorted(steps):
            time_us = took_us(task, processor, rows)
            if processor == "cpu":
                cpu.append(StepTimes(now, now + time_us, 0.0))
                now = cpu[-1].end_us
            else:
                now += time_us + (0.0 if ends else WAKE_US)
                ends.append(now)
        return RunProfile(now, tuple(cpu), tuple(ends), (not self.blind,) * len(ends))


def _noticed_late(run: RunProfile, number: int) -> RunProfile:
    """In most runs an end was noticed 15 µs late, in each one another."""
    ends = list(run.gpu_end_us)
    if number % 7 < len(ends):
        ends[number % 7] += 15.0
    return replace(run, gpu_end_us=tuple(ends), total_us=max(run.total_us, ends[-1]))


def test_times_are_recovered() -> None:
    session = FakeSession(graph_of([True] * 4))
    costs = measure(session, "dev", options=SHORT)
    assert costs.tasks == tuple(TaskCost(10.0 + i, 20.0 + i) for i in range(4))
    assert session.calls[:6] == ["profile cpu", "profile gpu"] + ["profile split"] * 4
    assert session.calls[12:] == ["alone 0 gpu 8", "alone 0 gpu 4"]


def test_halves_are_measured_and_lie_on_a_line() -> None:
    graph = graph_of([True, True, False])
    costs = measure(FakeSession(graph), "dev", options=SHORT)
    assert {(time.part.task, time.part.processor): time.time_us for time in costs.parts} == {
        (task, side): took_us(task, side, 4) for task in (0, 1) for side in ("cpu", "gpu")
    }
    times = measured_times(graph, costs, SyncCost(gpu_launch_us=1.0))
    cpu, gpu = Part(1, "cpu", 0, 6, 0, 1), Part(1, "gpu", 6, 8, 0, 1)
    expected = [took_us(1, "cpu", 6), took_us(1, "gpu", 2) - 1.0]
    assert times.times_us([cpu, gpu]).tolist() == pytest.approx(expected)


def test_gpu_step_after_a_cpu_step_starts_when_released() -> None:
    costs = measure(FakeSession(graph_of([True, False, True])), "dev", options=SHORT)
    assert costs.tasks[1] == TaskCost(11.0, None)
    assert costs.tasks[2] == TaskCost(12.0, 22.0)


def test_ends_that_nobody_watched_are_measured_alone() -> None:
    session = FakeSession(graph_of([True] * 3), blind=True)
    costs = measure(session, "dev", options=SHORT)
    assert [task.gpu_us for task in costs.tasks] == [20.0, 21.0, 22.0]
    assert {call for call in session.calls if "alone" in call} == {
        f"alone {i} gpu {rows}" for i in range(3) for rows in (4, 8)
    }


def test_without_a_device_only_the_cpu_is_measured() -> None:
    session = FakeSession(graph_of([True] * 2))
    costs = measure(session, "dev", gpu=False, options=SHORT)
    assert [task.gpu_us for task in costs.tasks] == [None, None]
    assert set(session.calls) == {"profile cpu"}


def test_known_times_are_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "times.jsonl"
    graph = graph_of([True, False])
    first = measure(FakeSession(graph), "dev", cache=TimesCache(path), options=SHORT)
    again = FakeSession(graph)
    assert measure(again, "dev", cache=TimesCache(path), options=SHORT) == first
    assert again.calls == []
    measure(again, "other device", cache=TimesCache(path), options=SHORT)
    assert again.calls


def test_progress_and_cap() -> None:
    session, seen = FakeSession(graph_of([True])), []
    options = MeasureOptions(rounds=50, cap_seconds=0.0)
    measure(session, "dev", options=options, progress=lambda _, part: seen.append(part))
    assert seen == [pytest.approx(1 / 50)]


def test_late_stamp_is_good_where_the_cpu_released_later() -> None:
    graph = graph_of([True, False, True])
    table = make_table(graph, single(graph, Place.GPU))
    run = RunProfile(200.0, (StepTimes(70.0, 90.0, 0.0),), (70.0, 112.0), (False, True))
    assert gpu_times(table, [run]) == {2: [22.0]}
    unseen = RunProfile(200.0, (StepTimes(70.0, 90.0, 0.0),), (-1.0, 112.0), (False, True))
    assert gpu_times(table, [unseen]) == {}


def test_a_preempted_watcher_does_not_make_steps_shorter() -> None:
    """An end noticed late lengthens one step and shortens the next: the least is not the truth."""
    session = FakeSession(graph_of([True] * 4), preempted=True)
    costs = measure(session, "dev")
    assert [task.gpu_us for task in costs.tasks] == [20.0, 21.0, 22.0, 23.0]
