"""Plans from outside: what is refused, and what the error says to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from plan_graphs import chain

from hetcomp.errors import PlanError
from hetcomp.plan.check import check_plan
from hetcomp.plan.graph import Grid
from hetcomp.plan.io import read_plan, write_plan
from hetcomp.plan.plan import Axis, Decision, Mode, Place, Plan
from hetcomp.plan.planners import fixed_split


def split(cut: int, axis: Axis = Axis.ROWS) -> Plan:
    return Plan("mine", (Decision("task0", Place.SPLIT, axis, cut),))


def tickets(ticket: int, axis: Axis = Axis.ROWS, **leaves: int) -> Plan:
    return Plan("mine", (Decision("task0", Place.SPLIT, axis, 4, Mode.TICKETS, ticket, **leaves),))


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (Plan("mine", ()), "no decision for task 'task0'"),
        (Plan("mine", (Decision("tsk0", Place.CPU),)), "did you mean 'task0'"),
        (Plan("mine", (Decision("task0", Place.CPU),) * 2), "2 decisions for task 'task0'"),
        (split(9), r"cut 9 along 'rows' is outside 0\.\.8"),
        (split(-1), "outside"),
        (split(7), "nearest legal cut is 6"),
        (tickets(9), r"'ticket' is 9, expected 2 to 8 tiles along 'rows'"),
        (tickets(1), "'ticket' is 1, expected 2 to 8"),
        (tickets(2, cpu_leaves=5), "'cpu_leaves' 5, 'gpu_leaves' 0, expected 0 to 4, the number"),
        (tickets(2, gpu_leaves=-1), "'gpu_leaves' -1, expected 0 to 4"),
        (tickets(2, cpu_leaves=1, gpu_leaves=1), "nobody takes the last tickets"),
        (split(1, Axis.CHANNELS), "cannot be split along 'channels', which has 1 tile; split a"),
    ],
)
def test_plan_that_does_not_fit(plan: Plan, text: str) -> None:
    graph = chain(1, rows=Grid(8, ragged=True), channels=Grid(1))
    with pytest.raises(PlanError, match=text):
        check_plan(graph, plan)


@pytest.mark.parametrize("place", [Place.GPU, Place.SPLIT])
def test_gpu_without_opencl_names_the_reason(place: Place) -> None:
    plan = Plan("mine", (Decision("task0", place, cut=4),))
    with pytest.raises(PlanError, match=r"gather is not generated.*set place to 'cpu'"):
        check_plan(chain(1, opencl=False), plan)


def test_npu_that_takes_it_not_names_the_reason() -> None:
    plan = Plan("mine", (Decision("task0", Place.NPU),))
    with pytest.raises(PlanError, match=r"takes it not: it sums floats; set place to 'cpu'"):
        check_plan(chain(1), plan)
    check_plan(chain(1, opencl=False, npu=True), plan)


def test_legal_plan_passes() -> None:
    graph = chain(3, rows=Grid(8, ragged=True))
    check_plan(graph, fixed_split(graph, 0.9))
    check_plan(chain(1, rows=Grid(8, ragged=True)), tickets(2))


def test_work_groups_take_no_tickets() -> None:
    graph = chain(1)
    kernels = tuple(replace(kernel, items=(8, 8)) for kernel in graph.kernels)
    with pytest.raises(PlanError, match="cannot take tickets"):
        check_plan(replace(graph, kernels=kernels), tickets(2))


def test_file_round_trip(tmp_path: Path) -> None:
    plan = fixed_split(chain(3))
    plan = replace(plan, decisions=(*plan.decisions, *tickets(2, gpu_leaves=1).decisions))
    write_plan(tmp_path / "p.json", plan)
    assert read_plan(tmp_path / "p.json") == plan
    assert [item.name for item in tmp_path.iterdir()] == ["p.json"]


def test_unwritable_folder(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be written"):
        write_plan(tmp_path / "none" / "p.json", fixed_split(chain(1)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "expected a JSON object, got a list"),
        ("{}", "'decisions' must be a list, got null"),
        ('{"decisions": [], "plan": 1}', "unknown field 'plan'"),
        ('{"decisions": [1]}', "decision 0: expected a JSON object"),
        ('{"decisions": [{"task": "a"}]}', "field 'place' is missing"),
        ('{"decisions": [{"task": "a", "place": "tpu"}]}', "one of cpu, gpu, split, npu, got"),
        ('{"decisions": [{"task": "a", "place": ["cpu"]}]}', "'place' must be one of"),
        ('{"decisions": [{"task": "a", "place": "split"}]}', "needs 'cut'"),
        ('{"decisions": [{"task": "a", "place": "cpu", "cut": 0.5}]}', "whole number"),
        ('{"decisions": [{"task": 1, "place": "cpu"}]}', "'task' must be text"),
        ('{"decisions": [{"task": "a", "place": "cpu", "cpu_us": "x"}]}', "must be a number"),
        ('{"name": 3, "decisions": []}', "'name' must be text"),
    ],
)
def test_wrong_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(PlanError, match=message):
        read_plan(path)


def test_missing_file_folder_and_binary(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    for name in ("none.json", "", "b"):
        with pytest.raises(PlanError, match="cannot be read"):
            read_plan(tmp_path / name)


def test_plan_json_is_what_is_documented(tmp_path: Path) -> None:
    write_plan(tmp_path / "p.json", Plan("mine", (Decision("a", Place.SPLIT, Axis.ROWS, 3),)))
    data = json.loads((tmp_path / "p.json").read_text())
    assert data["decisions"][0]["place"] == "split"
    assert data["decisions"][0]["axis"] == "rows"
