"""Every way of placing the steps gives NumPy's numbers, run after run."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import standin

from hetcomp.plan.plan import Axis
from hetcomp.plan.table import StepTable
from hetcomp.runtime import Session, load

GPU_PLANS = ("rows", "channels", "mixed", "gpu")


def assert_right(session: Session, seed: int, model_seed: int = 7) -> None:
    assert_equal(session.run(standin.feeds(seed)), seed, model_seed)


def assert_equal(results: Mapping[str, Any], seed: int, model_seed: int = 7) -> None:
    feeds = standin.feeds(seed)
    expected = standin.reference(feeds["x"], feeds["y"], model_seed)
    assert results.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(results[name], array, err_msg=f"seed {seed}")


def test_cpu_plan_equals_numpy(model: Path) -> None:
    with load(model, plan="cpu") as session:
        for seed in range(20):
            assert_right(session, seed)
        assert session.status().tier == "cpu"


@pytest.mark.parametrize("plan", GPU_PLANS)
def test_opencl_plans_equal_numpy_200_times(model: Path, opencl: str, plan: str) -> None:
    with load(model, plan=plan) as session:
        for seed in range(200):
            assert_right(session, seed)
        status = session.status()
    assert (status.tier, status.plan, status.runs) == ("svm-ahead", plan, 200)
    assert (status.fallbacks, status.timeouts) == (0, 0)


def test_unpinned_on_all_cores_of_the_device(model: Path, opencl: str) -> None:
    with load(model, plan="mixed", pin="off") as session:
        for seed in range(5):
            assert_right(session, seed)
        assert session.status().fallbacks == 0


@pytest.mark.parametrize("case", range(12))
def test_random_tables(model: Path, opencl: str, case: int) -> None:
    with load(model, plan="rows") as session:
        session.set_table(random_table(case))
        for seed in range(10):
            assert_right(session, seed)
        assert session.plan is None
        assert session.status().fallbacks == 0


def random_table(seed: int) -> StepTable:
    """Any mixture of CPU, OpenCL and splits; only steps that are waited for signal."""
    rng = random.Random(seed)
    placings = []
    for _ in range(len(standin.graph().tasks)):
        axis = rng.choice(list(Axis))
        grid = standin.ROW_GRID if axis is Axis.ROWS else standin.CHANNEL_GRID
        placings.append(standin.Placing(axis, grid.legal_cut(rng.randint(0, grid.extent))))
    return standin.make_table(f"random-{seed}", placings, signal_all=rng.random() < 0.3)


@pytest.mark.parametrize("threads", [2, 3])
def test_several_threads_give_the_same(model: Path, threads: int) -> None:
    with load(model, plan="cpu", threads=threads) as session:
        for seed in range(20):
            assert_right(session, seed)


@pytest.mark.parametrize("start", [2**31 - 20, 2**32 - 20])
def test_epochs_wrap_around(model: Path, opencl: str, start: int) -> None:
    with load(model, plan="mixed", epoch_start=start) as session:
        for seed in range(10):
            assert_right(session, seed)
        assert session.status().fallbacks == 0


def test_plans_can_be_changed_over(model: Path, opencl: str) -> None:
    with load(model) as session:
        for seed, plan in enumerate(["cpu", "gpu", "rows", "cpu", "mixed", "channels", "rows"]):
            session.use_plan(plan)
            assert session.plan is not None
            assert session.plan.name == plan
            assert_right(session, seed)


def test_two_models_in_one_process(model: Path, tmp_path: Path) -> None:
    other = standin.build(tmp_path, "other.so", seed=8)
    with load(model) as first, load(other) as second:
        for seed in range(10):
            assert_right(first, seed)
            assert_right(second, seed, model_seed=8)


def test_sessions_in_several_threads(model: Path) -> None:
    failures: list[BaseException] = []
    shared = load(model, plan="cpu")

    def work(session: Session) -> None:
        try:
            for seed in range(30):
                assert_right(session, seed)
        except BaseException as error:
            failures.append(error)

    with shared, load(model, plan="mixed") as second, load(model, plan="rows") as third:
        threads = [threading.Thread(target=work, args=[s]) for s in (shared, shared, second, third)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert shared is not None


def test_reopening_frees_and_works(model: Path) -> None:
    for seed in range(10):
        with load(model, plan="mixed") as session:
            assert_right(session, seed)
