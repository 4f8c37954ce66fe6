"""From winners in a data base to kernels: what `compile --tuned` takes, and what it says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import numpy_helper
from tuning_tasks import integer_model, small_model, small_tasks, winograd_model

import hetcomp
from hetcomp.cli import main
from hetcomp.errors import InputError
from hetcomp.schedules.choice import DIRECT, Choice
from hetcomp.schedules.select import schedule
from hetcomp.targets import find_target
from hetcomp.tune.database import Database, Record
from hetcomp.tune.winners import TunedChoices
from hetcomp.tuning import TuneOptions, tasks_of

HERE, ELSEWHERE = "here", "elsewhere"
FACTS = find_target("host").cpu


def winner(**changes: Any) -> Record:
    task = small_tasks()[0]
    fields = {"role": "winner", "task": task.key, "baseline": task.baseline, "what": task.what}
    fields |= {"processors": "cpu", "device": HERE, "choice": {"cpu.unroll": 4}, "ratio": 0.8}
    return Record(**{**fields, **changes})


def answer(*records: Record, processors: str = "cpu", device_class: str = "cpu-like") -> str:
    task = small_tasks()[0]
    chosen = TunedChoices(records, FACTS, HERE, processors, device_class)(
        task.func, task.constants, schedule(task.func, task.constants, FACTS)
    )
    assert (chosen.choice is not None) == chosen.why.startswith("yes")
    values = "" if chosen.choice is None else f" {chosen.choice.values()}"
    return chosen.why + values


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([winner()], "yes: 0.80 of the default's time {'cpu.unroll': 4}"),
        ([], "default: not in the data base"),
        ([winner(choice={}), winner(role="trial")], "default: nothing faster in 1 trials"),
        ([winner(role="trial")], "default: tried, but no winner was confirmed; tune again"),
        ([winner(baseline="old")], "default: tuned against another default kernel; tune again"),
        ([winner(ratio=None)], "default: tried, but no winner was confirmed; tune again"),
        ([winner(processors="gpu")], "default: tried, but no winner was confirmed; tune again"),
        (
            [winner(choice={"height": 999})],
            "default: the winner is not legal any more: height=999",
        ),
        (
            [winner(device=ELSEWHERE)],
            "yes: 0.80 of the default's time, measured on another machine",
        ),
    ],
)
def test_answer(records: list[Record], expected: str) -> None:
    assert answer(*records).startswith(expected)


def test_answer_where_only_direct_methods_are_wanted() -> None:
    (task,) = tasks_of(winograd_model(), options=TuneOptions(device_class="cpu-like"))
    default = schedule(task.func, task.constants, FACTS)
    assert default.variant.startswith("winograd")
    own = winner(task=task.key, baseline=task.baseline)
    direct = schedule(task.func, task.constants, FACTS, Choice(algorithm=DIRECT))
    found = TunedChoices([own], FACTS, HERE, "cpu")(task.func, task.constants, direct)
    assert found.why == f"default: tuned beside {default.variant}, which is not wanted here"


def test_tasks_of_class_gpu_are_those_that_compile_makes() -> None:
    (task,) = tasks_of(winograd_model(), options=TuneOptions(device_class="gpu"))
    assert set(task.spaces) == {DIRECT}
    assert task.base == Choice(algorithm=DIRECT)
    default = schedule(task.func, task.constants, FACTS, task.base)
    best = {"algorithm": DIRECT, "cpu.unroll": 4}
    own = winner(task=task.key, baseline=task.baseline, choice=best)
    found = TunedChoices([own], FACTS, HERE, "cpu")(task.func, task.constants, default)
    assert found.choice == Choice().with_values(best)


def test_the_last_winner_of_this_machine_and_processors_counts() -> None:
    unrolled = {"choice": {"cpu.unroll": 2}, "time": 5.0}
    assert "'cpu.unroll': 2" in answer(winner(), winner(**unrolled))
    assert "'cpu.unroll': 4" in answer(winner(), winner(device=ELSEWHERE, **unrolled))
    both = winner(processors="cpu+gpu", **unrolled)
    assert "'cpu.unroll': 2" in answer(winner(), both, processors="cpu+gpu")
    assert "'cpu.unroll': 4" in answer(winner(), both, processors="cpu")


def test_winners_hold_for_their_class_of_opencl_kernels() -> None:
    plain = winner(processors="cpu+gpu", device_class="cpu-like")
    groups = winner(processors="cpu+gpu", device_class="gpu", choice={"cpu.unroll": 2})
    other = "default: tuned for another class of OpenCL kernels"
    assert answer(plain, processors="cpu+gpu", device_class="gpu") == other
    assert "'cpu.unroll': 4" in answer(plain, groups, processors="cpu+gpu")
    assert "'cpu.unroll': 2" in answer(plain, groups, processors="cpu+gpu", device_class="gpu")
    assert "'cpu.unroll': 4" in answer(winner(), processors="cpu+gpu", device_class="gpu")


@pytest.mark.parametrize(("exact", "algorithms"), [(True, {DIRECT}), (False, None)])
def test_exact_tunes_what_exact_compiles(exact: bool, algorithms: set[str] | None) -> None:
    (task,) = tasks_of(winograd_model(), options=TuneOptions(exact=exact, device_class="cpu-like"))
    assert (set(task.spaces) == algorithms) if algorithms else len(task.spaces) > 1


@pytest.mark.parametrize(("precision", "weights"), [("auto", "int8"), ("f32", "float32")])
def test_precision_tunes_what_it_compiles(precision: str, weights: str) -> None:
    (task,) = tasks_of(integer_model(), options=TuneOptions(precision=precision))
    largest = max(task.constants, key=lambda i: math.prod(map(int, task.func.params[i].shape)))
    assert str(task.func.params[largest].dtype) == weights


def test_compile_uses_the_data_base_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "db.jsonl"
    Database(path).add(winner())
    options = hetcomp.CompileOptions(plan="cpu", gpu=False, tuned=str(path))
    output = tmp_path / "m.so"
    graph = hetcomp.compile(small_model(), output=output, options=options).graph
    plain = hetcomp.compile(
        small_model(), output=tmp_path / "p.so", options=replace(options, tuned="")
    ).graph
    said = [kernel.tuned.split(":")[0] for kernel in graph.kernels]
    assert sorted(said) == ["default", "yes"]
    changed = [one.key != two.key for one, two in zip(graph.kernels, plain.kernels, strict=True)]
    assert changed == [text == "yes" for text in said]
    assert {kernel.tuned for kernel in plain.kernels} == {""}
    shown = CliRunner().invoke(main, ["explain", str(output), "--json"]).output
    tasks = json.loads(shown)["tasks"]
    assert sorted(task["tuned"].split(":")[0] for task in tasks) == said or len(tasks) == 2


@pytest.mark.parametrize("precision", ["f16", "bf16"])
def test_kernels_in_16_bits_take_winners_of_float32(precision: str, tmp_path: Path) -> None:
    path, output = tmp_path / "db.jsonl", tmp_path / "m.so"
    Database(path).add(winner())
    options = hetcomp.CompileOptions(plan="cpu", gpu=False, tuned=str(path), precision=precision)
    graph = hetcomp.compile(small_model(), output=output, options=options).graph
    said = sorted(kernel.tuned for kernel in graph.kernels if kernel.tuned.startswith("yes"))
    assert [text.endswith(", in float32") for text in said] == [True]
    feeds = {"x": np.random.default_rng(2).standard_normal((60, 48)).astype(np.float32)}
    with hetcomp.load(output) as session:
        (got,) = session.run(feeds).values()
    w, v = (numpy_helper.to_array(array) for array in small_model().graph.initializer)
    expected = np.maximum(feeds["x"] @ w, 0) @ v
    assert np.abs(got - expected).max() < 0.02 * np.abs(expected).max()


def test_the_cpu_alone_is_tuned_with_all_its_kernels() -> None:
    options = TuneOptions(device="cpu", device_class="gpu")
    (task,) = tasks_of(winograd_model(), options=options)
    assert len(task.spaces) > 1


def test_missing_data_base_is_refused(tmp_path: Path) -> None:
    options = hetcomp.CompileOptions(tuned=str(tmp_path / "absent"))
    with pytest.raises(InputError, match="hetcomp tune makes one"):
        hetcomp.compile(small_model(), output=tmp_path / "m.so", options=options)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["a.onnx", "b.onnx"], "tune takes one"),
        (["a.onnx", "--rpc", "nonsense"], "HOST:PORT"),
        (["a.onnx", "--trials", "0"], "--trials"),
        (["a.onnx", "--time-limit", "-1"], "time_limit_s"),
        (["--merge", "absent.jsonl"], "does not exist"),
    ],
)
def test_tune_refuses(tmp_path: Path, arguments: list[str], text: str) -> None:
    result = CliRunner().invoke(main, ["tune", *arguments, "--db", str(tmp_path / "db")])
    assert result.exit_code == 2
    assert text in result.output
    assert result.output.count("\n") == 1


def test_merge_command(tmp_path: Path) -> None:
    one, two, merged = (tmp_path / name for name in ("one", "two", "merged"))
    Database(one).add(winner())
    Database(two).add(winner(time=2.0))
    arguments = ["tune", "--merge", str(one), str(two), "--db", str(merged), "--json"]
    assert json.loads(CliRunner().invoke(main, arguments).output)["records"] == 2
    assert len(Database(merged).records) == 2
