"""Models of one process: one queue and one pool of threads, priorities, other versions beside."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import standin
from fresh_process import Script, build_application, run_program
from opencl_device import skip_or_fail

from hetcomp.codegen.toolchain import Toolchain, find_toolchain, runtime_folder
from hetcomp.runtime import Session, load

OTHER_PROTOCOL = "-DHETCOMP_BROKER_PROTOCOL=999"


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model with other weights."""
    return standin.build(tmp_path_factory.mktemp("second"), seed=8)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of another version: of today's runtime, built under another number of protocol."""
    host = find_toolchain()
    tools = Toolchain((*host.cxx, OTHER_PROTOCOL), host.triple, host.ffi_library_folder)
    return standin.build(tmp_path_factory.mktemp("foreign"), seed=9, toolchain=tools)


def right(session: Session, seed: int, weights: int) -> bool:
    feeds = standin.feeds(seed)
    expected = standin.reference(feeds["x"], feeds["y"], weights)
    results = session.run(feeds)
    return all(np.array_equal(results[name], value) for name, value in expected.items())


def _run_both(one: Path, other: Path, seed: int) -> str:
    """A script that runs two models, of which the first fails, and stores both statuses."""
    return f"""
        import numpy as np, standin
        from hetcomp.runtime import load
        feeds = standin.feeds(1)
        other = load({str(other)!r}, plan="rows", quiet=True)
        expected = standin.reference(feeds["x"], feeds["y"], {seed})["out"]
        before = other.run(feeds)["out"]
        with load({str(one)!r}, plan="rows", fault="enqueue", quiet=True) as session:
            session.run(feeds)
            first = session.status().device_bad
        after = other.run(feeds)["out"]
        answer = [bool((before == expected).all()), bool((after == expected).all()), first,
                  other.status().device_bad]
        """


def test_models_share_a_queue(script: Script, model: Path, second: Path, opencl: str) -> None:
    answer, _ = script(_run_both(model, second, 8))
    assert answer == [True, True, True, True]  # what failed for one has failed for the other


def test_other_versions_have_their_own(
    script: Script, model: Path, foreign: Path, opencl: str
) -> None:
    answer, _ = script(_run_both(model, foreign, 9))
    assert answer == [True, True, True, False]


@pytest.mark.parametrize("plan", ["cpu", "rows", "gpu"])
def test_versions_in_one_process(
    model: Path, second: Path, foreign: Path, tmp_path: Path, plan: str
) -> None:
    program = build_application(tmp_path, "models.c")
    models = [str(path) for path in (model, second, foreign)]
    printed = run_program([str(program), json.dumps({"plan": plan}), *models])
    statuses = [json.loads(line) for line in printed.splitlines()]
    assert [status["runs"] for status in statuses] == [51, 51, 51]
    assert [status["fallbacks"] for status in statuses] == [0, 0, 0]
    assert len({status["tier"] for status in statuses}) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_at_the_same_time(model: Path, second: Path, foreign: Path, threads: int) -> None:
    models = [(model, 7), (second, 8), (foreign, 9)]
    sessions = [(load(path, plan="mixed", threads=threads), seed) for path, seed in models]

    def work(index: int) -> bool:
        session, weights = sessions[index % len(sessions)]
        return all(right(session, seed, weights) for seed in range(10 * index, 10 * index + 10))

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(12)))
    for session, _ in sessions:
        assert session.status().fallbacks == 0
        session.close()


def test_models_share_a_pool(model: Path, second: Path) -> None:
    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    before = threads()
    sessions = [load(path, plan="cpu", threads=3, pin="off") for path in (model, second, model)]
    assert threads() - before == 2
    for session, weights in zip(sessions, (7, 8, 7), strict=True):
        assert right(session, 1, weights)
    sessions[0].close()
    assert right(sessions[2], 2, 7)
    for session in sessions:
        session.close()
    assert threads() == before


@pytest.mark.parametrize("options", [{"plan": "gpu"}, {"plan": "cpu", "threads": 2}])
def test_the_higher_priority_is_done_first(model: Path, second: Path, options: dict) -> None:
    priorities, n = (0, 0, 10, 0), 150
    sessions = [
        load(path, **options, priority=priority)
        for path, priority in zip((model, second, model, second), priorities, strict=True)
    ]
    if "threads" not in options and sessions[0].status().tier == "cpu":
        skip_or_fail("needs an OpenCL device to share")
    feeds = standin.feeds(0)
    requests = [[session.submit(feeds) for session in sessions] for _ in range(n)]
    preferred = priorities.index(10)
    assert requests[-1][preferred].wait(60.0)
    done = [sum(row[i].wait(0.0) for row in requests) for i in range(len(sessions))]
    for session in sessions:
        session.close()
    # It has every second turn, or more; with equal chances all would be done about now.
    assert max(done[:preferred] + done[preferred + 1 :]) < 0.95 * n, done


def test_turns(tmp_path: Path) -> None:
    program = tmp_path / "turns"
    sources = runtime_folder() / "src"
    files = [Path(__file__).parents[1] / "support" / "turns.cc", sources / "base/priority_turn.cc"]
    command = ["g++", "-std=c++17", "-O1", "-pthread", f"-I{sources}", *map(str, files)]
    subprocess.run([*command, "-o", str(program)], check=True, timeout=120.0)
    subprocess.run([str(program)], check=True, timeout=60)


@pytest.mark.parametrize("priority", [1001, -1001, "high", 0.5])
def test_wrong_priority(model: Path, priority: object) -> None:
    from hetcomp.errors import InputError

    with pytest.raises(InputError, match="priority"):
        load(model, priority=priority)  # type: ignore[arg-type]
