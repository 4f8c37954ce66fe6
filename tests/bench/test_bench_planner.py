"""`bench planner`: the search's grid, the chain's arithmetic, the summary; one layer for real."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from opencl_device import NEEDS_OPENCL

from hetcomp.bench.layer_chain import LayerChain, chain_copies
from hetcomp.bench.networks import Results
from hetcomp.bench.planner import _Records, bench_planner
from hetcomp.bench.planner_choice import (
    all_splits,
    all_tickets,
    alone,
    neighbours,
    predict_us,
    share_text,
    steps_of,
)
from hetcomp.bench.planner_layers import spread
from hetcomp.bench.planner_plot import plot_planner
from hetcomp.bench.planner_rows import PlannerOptions, PlannerRow, summarize
from hetcomp.cli.bench_planner import _print
from hetcomp.cost.costs import SyncCost
from hetcomp.cost.profile import DeviceProfile
from hetcomp.errors import DeviceError, InputError, ProfileError
from hetcomp.plan.candidates import parts_of
from hetcomp.plan.contention import Contention
from hetcomp.plan.graph import Grid, Kernel, Space, Task, TaskGraph, Tensor
from hetcomp.plan.plan import Axis, Decision, Place
from hetcomp.plan.table import StepTable
from hetcomp.runtime.records import RunProfile, StepTimes


def _task(rows: Grid, channels: Grid) -> Task:
    return Task("layer", "conv2d", 0, (0,), (1,), rows, channels, "rows", "")


def test_every_legal_cut_is_searched() -> None:
    found = all_splits(_task(Grid(4), Grid(3, ragged=True)))
    assert [(d.axis.value, d.cut) for d in found] == [
        ("rows", 1), ("rows", 2), ("rows", 3), ("channels", 1),
    ]  # fmt: skip
    assert all_splits(_task(Grid(1), Grid(1))) == ()


def test_long_axes_are_searched_in_strides_and_then_round_the_best() -> None:
    task = _task(Grid(200), Grid(1))
    found = all_splits(task)
    assert [d.cut for d in found[:3]] == [1, 5, 9]
    near = neighbours(task, Decision("layer", Place.SPLIT, Axis.ROWS, 101))
    assert [d.cut for d in near] == [98, 99, 100, 102, 103, 104]
    assert neighbours(task, alone(task)[0]) == ()
    whole = {d.cut for d in found} | {n.cut for d in found for n in neighbours(task, d)}
    assert whole == set(range(1, 200))


def test_the_slower_part_decides() -> None:
    task = _task(Grid(10), Grid(1))
    decisions = (*alone(task), Decision("layer", Place.SPLIT, Axis.ROWS, 4))

    class PerRow:
        def times_us(self, parts: Any) -> np.ndarray[Any, Any]:
            speed = {"cpu": 10.0, "gpu": 20.0}
            return np.array([speed[p.processor] * (p.row_end - p.row_begin) for p in parts])

    out = Tensor("t", (1, 500, 8), "float32", 16000, Space.ARENA)
    graph = TaskGraph("g", (out, out), (), (task,), (0,), (1,), 0)
    sync = SyncCost(split_us=1.5, gpu_launch_us=1.0, border_ns=20.0)
    assert predict_us(graph, decisions, PerRow(), sync).tolist() == [100.0, 201.0, 122.5]
    slow = Contention(cpu=(4.0,), gpu=(1.0,))
    assert predict_us(graph, decisions, PerRow(), sync, slow)[2] == 161.5
    channels = replace(decisions[2], axis=Axis.CHANNELS, cut=1)
    wide = replace(graph, tasks=(replace(task, channels=Grid(2)),))
    meet = predict_us(wide, (channels,), PerRow(), sync)
    assert meet.tolist() == [201.0 + 1.5 + 500 * 0.02]  # a border in each of the output's rows
    assert share_text(task, decisions[2]) == "rows 4/10"


def test_tickets_cover_the_whole_layer() -> None:
    graph = FakeSession(2).graph
    found = all_tickets(graph)
    assert [(d.axis, d.ticket) for d in found] == [(Axis.ROWS, 1)]
    cpu, gpu, ticket = steps_of(graph.tasks[0], found[0])
    assert cpu is not None
    assert gpu is not None
    assert (cpu.tiles, gpu.tiles, ticket) == (8, 8, 1)
    assert share_text(graph.tasks[0], found[0]) == "1 rows a ticket"
    by_channels = replace(found[0], axis=Axis.CHANNELS)
    assert steps_of(graph.tasks[0], by_channels)[2] == -1
    groups = replace(graph, kernels=(replace(graph.kernels[0], items=(8, 8)),))
    assert all_tickets(groups) == ()


def test_layers_are_spread_over_kinds_and_work() -> None:
    def layer(kind: str, flops: int) -> Any:
        return SimpleNamespace(kind=kind, key=f"{kind}{flops}", flops=flops)

    layers = [layer("linear", n) for n in (1, 5, 9)] + [layer("conv2d", n) for n in range(20)]
    found = spread(layers, 8)
    assert [one.key for one in found if one.kind == "linear"] == ["linear1", "linear5", "linear9"]
    assert [one.flops for one in found if one.kind == "conv2d"] == [0, 5, 10, 14, 19]
    assert len(spread(layers, 0)) == 23


def test_a_chain_exceeds_both_caches() -> None:
    assert chain_copies(1 << 20, 2 << 20) == 8
    assert chain_copies(64 << 20, 2 << 20) == 2
    assert chain_copies(1, 2 << 20) == 96


class FakeSession:
    """A session whose steps take 10 us each on the CPU and 12 us on the GPU, in step."""

    def __init__(self, copies: int) -> None:
        tasks = (_task(Grid(8), Grid(1)),) * copies
        tensors = (Tensor("t", (4,), "float32", 16, Space.ARENA),) * 2
        kernel = Kernel("k", 2, True, "", "key")
        self.graph = TaskGraph("g", tensors, (kernel,), tasks, (0,), (1,), 0)
        base = StepTable("cpu", (), (), (0, 128), 256)
        self.image = SimpleNamespace(tables=(base,))

    def set_table(self, table: StepTable) -> None:
        self.table = table

    def profile(self, reps: int) -> Any:
        cpu = tuple(StepTimes(12.0 * n, 12.0 * n + 10.0, 2.0) for n, _ in enumerate(self.table.cpu))
        gpu = tuple(
            100.0 + 12.0 * (n + 1) if step.signal else -1.0 for n, step in enumerate(self.table.gpu)
        )
        return SimpleNamespace(runs=[RunProfile(0.0, cpu, gpu, (True,) * len(gpu))] * reps)


def test_a_layer_takes_the_time_between_ends() -> None:
    chain = LayerChain(FakeSession(4))  # type: ignore[arg-type]
    split = Decision("layer", Place.SPLIT, Axis.ROWS, 3)
    for decision in (split, *alone(chain.task)):
        parts = parts_of(0, chain.task, decision)
        assert chain.times_us(*parts, 300.0, 2) == pytest.approx([12.0, 12.0])


def test_runs_whose_ends_nobody_saw_do_not_count() -> None:
    class Blind(FakeSession):
        def profile(self, reps: int) -> Any:
            found = super().profile(reps)
            gpu = (-1.0,) * len(self.table.gpu)
            return SimpleNamespace(runs=[replace(run, gpu_end_us=gpu) for run in found.runs])

    chain = LayerChain(Blind(4))  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="nobody was there"):
        chain.times_us(*parts_of(0, chain.task, alone(chain.task)[1]), 300.0)


def test_halves_wait_for_the_copy_before() -> None:
    session = FakeSession(4)
    chain = LayerChain(session)  # type: ignore[arg-type]
    split = Decision("layer", Place.SPLIT, Axis.ROWS, 3)
    chain.times_us(*parts_of(0, chain.task, split), 750.0)
    cpu, gpu = session.table.cpu, session.table.gpu
    assert len(cpu) == len(gpu) == 12  # a pass that is not timed, two that are
    assert [step.task for step in cpu[:5]] == [0, 1, 2, 3, 0]
    assert [step.wait for step in gpu[:3]] == [0, 1, 2]
    assert (cpu[0].row_end, gpu[0].row_begin, gpu[0].row_end) == (3, 3, 8)
    chain.times_us(*parts_of(0, chain.task, alone(chain.task)[1]), 750.0)
    assert session.table.cpu == ()
    assert [n for n, step in enumerate(session.table.gpu, 1) if step.signal] == [4, 12]


ROW = PlannerRow(
    model="m", layer="l", kind="linear", variant="direct", text="t", key="k", tier="svm-ahead",
    mflop=1.0, weight_bytes=1, layer_bytes=1, chain_bytes=1, cpu_us=100.0, gpu_us=110.0,
    plan="rows 4/8", plan_predicted_us=55.0, plan_us=55.0, plan_p10_us=54.0, plan_p90_us=56.0,
    oracle="rows 5/8", oracle_us=52.0, speedup_plan=1.8, speedup_oracle=1.9, share_of_oracle=0.95,
    tickets="1 rows a ticket", speedup_tickets=1.85,
    error_percent=4.0, single_error_percent=None, cache_effect=False, rounds=9, grid=(),
)  # fmt: skip


def test_the_summary_leaves_cache_effects_out_of_the_largest() -> None:
    rows = (
        ROW,
        replace(ROW, speedup_plan=2.4, cache_effect=True, share_of_oracle=1.0),
        replace(ROW, kind="conv2d", layer="head", speedup_plan=0.97, error_percent=8.0),
    )
    (found,) = summarize(rows)
    assert (found.layers, found.cache_effects, found.slower) == (3, 1, 1)
    assert (found.speedup_max_linear, found.speedup_max_conv) == (1.8, 0.97)
    assert found.share_of_oracle_mean == pytest.approx((0.95 + 1.0 + 0.95) / 3)
    assert (found.share_of_oracle_median, found.share_of_oracle_min) == (0.95, 0.95)
    assert (found.speedup_plan_median, found.speedup_oracle_median) == (1.8, 1.9)
    assert (found.worst_speedup, found.worst_layer) == (0.97, "m head")
    assert found.plan_mape_percent == pytest.approx(16 / 3)
    assert found.kernel_mape_percent is None


def test_every_tier_has_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    rows = (ROW, replace(ROW, tier="finish", speedup_plan=0.9, text="slow one"))
    _print(PlannerOptions(("resnet18",), tiers=("svm-ahead", "finish")), Results(rows, ()))
    first, second = capsys.readouterr().out.split("tier finish ")
    assert "slow one" in second
    assert "slow one" not in first
    assert "0 layers more than 2% slower than the better processor; worst 1.800x, m l" in first
    assert "1 layers more than 2% slower than the better processor; worst 0.900x, m l" in second


@pytest.mark.parametrize(
    ("field", "value"), [("kinds", ("pool",)), ("tiers", ("magic",)), ("models", ())]
)
def test_options_are_checked(field: str, value: tuple[str, ...]) -> None:
    with pytest.raises(InputError):
        PlannerOptions(**{"models": ("resnet18",), field: value})


def test_a_profile_of_another_device_is_refused() -> None:
    elsewhere = DeviceProfile("elsewhere", {}, 0, {"svm-ahead": SyncCost()})
    with pytest.raises(ProfileError, match="another device"):
        bench_planner(PlannerOptions(("resnet18",), profile=elsewhere))


def test_plans_by_other_costs_are_told_apart() -> None:
    profile = DeviceProfile("here", {}, 0, {"svm-ahead": SyncCost()}, limits={"x": 1.0})
    others = (
        replace(profile, sync={"svm-ahead": SyncCost(split_us=2.0)}),
        replace(profile, limits={"x": 2.0}),
        replace(profile, models={"linear.cpu": "text"}),
        None,
    )
    stamps = {PlannerOptions(("resnet18",), profile=p).planned_by for p in (profile, *others)}
    assert len(stamps) == 5


def test_rows_measured_otherwise_are_measured_again(tmp_path: Path) -> None:
    options = PlannerOptions(("resnet18",), records=tmp_path / "rows.jsonl")
    _Records(options).add(ROW)
    assert _Records(options).get("k", "svm-ahead") == ROW
    assert _Records(replace(options, quick=True)).get("k", "svm-ahead") is None


@NEEDS_OPENCL
def test_one_layer_for_real(tmp_path: Path) -> None:
    records = tmp_path / "rows.jsonl"
    records.write_text('[]\n{"device": "her')  # the last line was cut off
    options = PlannerOptions(
        ("mobilenetv1",), layers=1, min_mflop=50.0, quick=True, records=records
    )
    results = bench_planner(options)
    assert results.failed == ()
    (row,) = results.rows
    assert 0.0 < row.share_of_oracle <= 1.0
    assert row.speedup_oracle >= max(row.speedup_plan, 1.0)
    assert {"cpu", "gpu"} < {point.share for point in row.grid}
    kept = json.loads(records.read_text().splitlines()[-1])["row"]
    assert PlannerRow.from_json(kept) == row
    assert bench_planner(options).rows == results.rows  # from the records
    plot_planner(tmp_path / "p.png", results.rows)
    assert (tmp_path / "p.png").stat().st_size > 10_000
