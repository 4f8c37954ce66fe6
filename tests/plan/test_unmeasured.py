"""Plan `auto` for a machine that is not here: by its profile, or all on the CPU, and said so."""

from __future__ import annotations

from pathlib import Path

import pytest
from plan_graphs import chain

from hetcomp.cost.costs import SyncCost
from hetcomp.cost.profile import DeviceProfile
from hetcomp.cost.profile_file import save_profile
from hetcomp.errors import PlanError
from hetcomp.goal import Goal
from hetcomp.options import CompileOptions
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Place
from hetcomp.unmeasured import unmeasured_placement

SPEEDS = {
    "cpu.flops_per_us": 1e4, "cpu.bytes_per_us": 1e3, "cpu.near_bytes_per_us": 1e4,
    "gpu.flops_per_us": 4e6, "gpu.bytes_per_us": 4e5, "gpu.near_bytes_per_us": 4e6,
}  # fmt: skip
"""A GPU that leaves the CPU nothing to do."""


@pytest.fixture
def profile(tmp_path: Path) -> str:
    path = tmp_path / "there.json"
    sync = {"svm-ahead": SyncCost()}
    save_profile(DeviceProfile("over there", {}, 0, sync, limits=SPEEDS), path)
    return str(path)


def heavy() -> TaskGraph:
    """Tasks that are worth sending to a GPU."""
    return chain(3, size_bytes=1 << 20)


def test_without_a_profile_the_cpu_does_all() -> None:
    graph = chain(3)
    placement = unmeasured_placement(graph, CompileOptions(), "rk3588")
    assert [plan.name for plan in placement.plans] == ["auto", "cpu", "gpu", "split"]
    assert {decision.place for decision in placement.plans[0].decisions} == {Place.CPU}
    assert "nothing can be measured here for rk3588" in placement.notes["auto"]
    assert placement.tables(graph)[0].gpu == ()


def test_strict_wants_to_know() -> None:
    with pytest.raises(PlanError, match="nothing can be measured here for rk3588"):
        unmeasured_placement(chain(3), CompileOptions(strict=True), "rk3588")


def test_the_profile_decides(profile: str) -> None:
    graph = heavy()
    placement = unmeasured_placement(graph, CompileOptions(profile=profile), "rk3588")
    auto, *others = placement.plans
    assert [plan.name for plan in others] == ["cpu", "gpu", "split"]
    assert all(plan.predicted_us for plan in placement.plans)
    assert auto.predicted_us == min(plan.predicted_us or 0.0 for plan in placement.plans)
    assert Place.GPU in {decision.place for decision in auto.decisions}
    assert placement.notes["device"] == "over there"
    assert placement.tables(graph)[0].gpu


def test_a_cap_on_the_gpu_is_kept(profile: str) -> None:
    options = CompileOptions(profile=profile, goal=Goal(gpu_cap=0.0))
    placement = unmeasured_placement(heavy(), options, "rk3588")
    assert {decision.place for decision in placement.plans[0].decisions} == {Place.CPU}
