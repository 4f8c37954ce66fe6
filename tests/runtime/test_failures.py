"""A device that hangs, fails or is missing costs time, never a wrong result."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import standin
from fresh_process import Script

from hetcomp.errors import DeviceError, FeedError, InputError, InternalError
from hetcomp.plan.graph import TaskGraph
from hetcomp.runtime import load

# Runs twice and says whether the numbers are right, how long it took, and what the status is.
_TWO_RUNS = """
import dataclasses, time
import numpy as np, standin
from hetcomp.runtime import load

def right(session, seed):
    feeds = standin.feeds(seed)
    expected = standin.reference(feeds["x"], feeds["y"])
    results = session.run(feeds)
    return all(np.array_equal(results[k], v) for k, v in expected.items())

session = load({path!r}, plan={plan!r}, {options})
start = time.monotonic()
first = right(session, 1)
first_s = time.monotonic() - start
start = time.monotonic()
later = [right(session, seed) for seed in range(2, 30)]
later_s = time.monotonic() - start
answer = dict(dataclasses.asdict(session.status()), first=first, later=all(later),
              first_s=first_s, later_s=later_s)
"""


def two_runs(script: Script, model: Path, plan: str, options: str, **env: str) -> tuple[dict, str]:
    return script(_TWO_RUNS.format(path=str(model), plan=plan, options=options), **env)


@pytest.mark.parametrize("plan", ["rows", "gpu"])
def test_wedged_device(script: Script, model: Path, opencl: str, plan: str) -> None:
    answer, stderr = two_runs(script, model, plan, "timeout_ms=200, fault='wedge'")
    assert answer["first"]
    assert 0.19 < answer["first_s"] < 5.0
    assert answer["later"]
    assert answer["later_s"] < 5.0
    assert (answer["tier"], answer["plan"], answer["requested_plan"]) == ("cpu", "cpu", plan)
    assert (answer["timeouts"], answer["fallbacks"], answer["device_bad"]) == (1, 1, True)
    assert len(re.findall("hetcomp: ", stderr)) == 1
    assert "no answer within 200 ms" in stderr


def test_enqueue_failure(script: Script, model: Path, opencl: str) -> None:
    answer, stderr = two_runs(script, model, "mixed", "fault='enqueue'")
    assert answer["first"]
    assert answer["later"]
    assert answer["first_s"] < 5.0
    assert (answer["timeouts"], answer["fallbacks"], answer["tier"]) == (0, 1, "cpu")
    assert "CL_OUT_OF_RESOURCES (-5)" in stderr
    assert "gpu_program.cc:" in stderr


def test_quiet_says_nothing(script: Script, model: Path, opencl: str) -> None:
    _, stderr = two_runs(script, model, "mixed", "fault='enqueue', quiet=True")
    assert "hetcomp" not in stderr


def test_another_session_of_a_bad_device_goes_to_the_cpu(
    script: Script, model: Path, opencl: str
) -> None:
    answer, _ = script(
        f"""
        import standin
        from hetcomp.runtime import load
        other = load({str(model)!r}, plan="rows")
        with load({str(model)!r}, plan="rows", fault="enqueue") as first:
            first.run(standin.feeds(0))
        before = other.run(standin.feeds(1))["out"]
        expected = standin.reference(**standin.feeds(1))["out"]
        answer = [bool((before == expected).all()), other.status().plan]
        """
    )
    assert answer == [True, "cpu"]


_RIGHT = """
from hetcomp.runtime import load
import standin

def right(session, seed):
    got, expected = session.run(standin.feeds(seed)), standin.reference(**standin.feeds(seed))
    return all(bool((got[name] == value).all()) for name, value in expected.items())
"""


@pytest.mark.parametrize("fault", ["wedge", "enqueue"])
def test_recovered_device_is_taken_back(
    script: Script, model: Path, opencl: str, fault: str
) -> None:
    """By the next who opens a model, but a device that keeps failing is left alone."""
    answer, _ = script(
        _RIGHT
        + f"""
answer = []
for seed in range(5):
    with load({str(model)!r}, plan="rows", fault={fault!r}, timeout_ms=200, quiet=True) as session:
        before = session.status().tier
        first = right(session, seed)
        status = session.status()
        answer.append([before, first, right(session, seed + 1), status.tier, status.device_bad])
"""
    )
    assert answer[:4] == [["svm-ahead", True, True, "cpu", True]] * 4
    assert answer[4] == ["cpu", True, True, "cpu", True]


def test_a_session_takes_its_device_back(script: Script, model: Path, opencl: str) -> None:
    answer, _ = script(
        _RIGHT
        + f"""
with load({str(model)!r}, plan="rows", fault="wedge", timeout_ms=200, quiet=True) as session:
    answer = [right(session, 1), session.status().tier]
    session.use_plan("mixed")
    answer += [right(session, 2), right(session, 3)]
    status = session.status()
    answer += [status.tier, status.plan, status.device_bad, status.fallbacks]
"""
    )
    assert answer == [True, "cpu", True, True, "svm-ahead", "mixed", False, 1]


def test_no_opencl_library_is_said_once(script: Script, model: Path) -> None:
    options = "opencl_library='/nonexistent/libOpenCL.so'"
    answer, stderr = two_runs(script, model, "rows", options)
    assert answer["first"]
    assert answer["later"]
    assert (answer["tier"], answer["requested_plan"]) == ("cpu", "rows")
    assert "/nonexistent/libOpenCL.so" in answer["why_no_gpu"]
    assert stderr.count("hetcomp: ") == 1
    assert "running on the CPU alone" in stderr


def test_no_opencl_platform(script: Script, model: Path, opencl: str, tmp_path: Path) -> None:
    answer, _ = two_runs(script, model, "rows", "quiet=True", OCL_ICD_VENDORS=str(tmp_path))
    assert answer["first"]
    assert answer["why_no_gpu"] == "no OpenCL device"


@pytest.mark.parametrize("how", ["option", "environment"])
def test_device_off(script: Script, model: Path, how: str) -> None:
    env = {"HETCOMP_DEVICE": "off"} if how == "environment" else {}
    answer, stderr = two_runs(script, model, "rows", "" if env else "device='off'", **env)
    assert answer["first"]
    assert (answer["tier"], answer["device"]) == ("cpu", "")
    assert "hetcomp" not in stderr  # it was asked for


def test_bad_opencl_source_is_not_fatal(script: Script, model: Path, tmp_path: Path) -> None:
    broken = standin.build(tmp_path, edit_source=lambda text: text + "\nthis is not C\n")
    answer, _ = two_runs(script, broken, "rows", "quiet=True")
    assert answer["first"]
    assert answer["later"]
    assert answer["tier"] == "cpu"


def with_groups(**fields: tuple[int, int]) -> Callable[[TaskGraph], TaskGraph]:
    """Changes the work-groups of all kernels."""
    return lambda graph: replace(
        graph, kernels=tuple(replace(kernel, **fields) for kernel in graph.kernels)
    )


def test_too_large_a_work_group_falls_back(
    script: Script, model: Path, opencl: str, tmp_path: Path
) -> None:
    large = standin.build(tmp_path, edit_graph=with_groups(items=(1024, 1024)))
    answer, stderr = two_runs(script, large, "rows", "")
    assert answer["first"]
    assert answer["later"]
    assert (answer["tier"], answer["fallbacks"]) == ("cpu", 0)
    assert "wants 1048576 work-items in a group, the device grants" in answer["why_no_gpu"]
    assert stderr.count("running on the CPU alone") == 1


def test_work_group_of_no_items(tmp_path: Path) -> None:
    broken = standin.build(tmp_path, edit_graph=with_groups(items=(0, 1)))
    with pytest.raises(InputError, match='"items" is not a pair of positive numbers'):
        load(broken, plan="cpu")


def test_gpu_table_without_device_is_an_error(model: Path) -> None:
    with load(model, device="off") as session:
        with pytest.raises(DeviceError, match="switched off"):
            session.set_table(standin.tables()[0])
        with pytest.raises(DeviceError, match="switched off"):
            session.time_task(0, "gpu")
        assert session.status().plan == "cpu"


@pytest.mark.parametrize("plan", ["cpu", "rows"])
def test_failing_kernel(model: Path, plan: str) -> None:
    with load(model, plan=plan) as session:
        feeds = standin.feeds(3)
        poisoned = {**feeds, "y": feeds["y"].copy()}
        poisoned["y"][0, 0] = standin.POISON  # read by the last task
        for _ in range(3):
            with pytest.raises(InternalError, match="poisoned input"):
                session.run(poisoned)
            expected = standin.reference(feeds["x"], feeds["y"])
            np.testing.assert_array_equal(session.run(feeds)["out"], expected["out"])
        with pytest.raises(InternalError, match="poisoned input"):
            session.profile(2, poisoned)
        np.testing.assert_array_equal(session.run(feeds)["out"], expected["out"])
        assert session.status().fallbacks == 0
        assert not session.status().device_bad


def test_a_failing_kernel_beside_a_deaf_device(script: Script, opencl: str, tmp_path: Path) -> None:
    """The CPU's kernel fails while one of the device takes seconds and looks at nothing."""
    spin = "for (volatile long i = 0; i < 4000000000; ++i);"
    deaf = f"if (b1[0] == 4096.0f && r == 22 && c == 63) {spin}"
    add = "b2[r * 64 + c] = b0[r * 64 + c] + b1[r * 64 + c];"
    model = standin.build(tmp_path, edit_source=lambda text: text.replace(add, deaf + add))
    answer, stderr = script(
        _RIGHT
        + f"""
import time
from hetcomp.errors import InternalError
poisoned = standin.feeds(2)
poisoned["y"][0, 0] = standin.POISON

def fail(session):
    start = time.monotonic()
    try:
        session.run(poisoned)
    except InternalError as error:
        return ["poisoned input" in str(error), time.monotonic() - start]

fail(load({str(model)!r}, plan="cpu"))  # a process's first error takes a second to trace back
session = load({str(model)!r}, plan="rows", timeout_ms=200)
answer = [right(session, 1), *fail(session), right(session, 3), session.status().tier]
"""
    )
    seconds = answer.pop(2)
    assert answer == [True, True, True, "cpu"]
    assert 0.2 <= seconds < 0.6  # three time-outs, on a busy machine
    assert "it did not stop after a CPU kernel had failed" in stderr


class TestFeeds:
    def test_names(self, model: Path) -> None:
        with load(model, plan="cpu") as session:
            feeds = standin.feeds(0)
            with pytest.raises(FeedError, match=r"missing inputs: y; unknown inputs: z.*x, y"):
                session.run({"x": feeds["x"], "z": feeds["y"]})

    def test_shape(self, model: Path) -> None:
        with load(model, plan="cpu") as session:
            feeds = standin.feeds(0) | {"y": np.zeros((23, 63), np.float32)}
            message = r'"y": got float32 \(23, 63\), expected float32 \(23, 64\)'
            with pytest.raises(FeedError, match=message):
                session.run(feeds)

    def test_dtype(self, model: Path) -> None:
        with load(model, plan="cpu") as session:
            feeds = standin.feeds(0) | {"x": np.zeros((23, 64))}
            with pytest.raises(FeedError, match="got float64"):
                session.run(feeds)

    @pytest.mark.parametrize("form", ["readonly", "strided", "unaligned"])
    def test_any_memory_will_do(self, model: Path, form: str) -> None:
        feeds = standin.feeds(0)
        x = feeds["x"]
        if form == "readonly":
            x = x.copy()
            x.flags.writeable = False
        elif form == "strided":
            x = np.asfortranarray(x)
        else:
            raw = np.zeros(x.nbytes + 1, np.uint8)
            x = raw[1:].view(np.float32).reshape(x.shape)
            x[:] = feeds["x"]
        with load(model, plan="cpu") as session:
            result = session.run({"x": x, "y": feeds["y"]})["out"]
        np.testing.assert_array_equal(result, standin.reference(feeds["x"], feeds["y"])["out"])


class TestOptions:
    def test_unknown_plan(self, model: Path) -> None:
        with pytest.raises(InputError, match='no plan "fast"; it has: rows, channels'):
            load(model, plan="fast")

    @pytest.mark.parametrize(
        "options",
        [
            {"device": "gpu"},
            {"pin": "maybe"},
            {"threads": 0},
            {"timeout_ms": 0},
            {"timeout_ms": -1},
            {"fault": "flood"},
            {"cpu_core": 1000, "pin": "on"},
        ],
    )
    def test_wrong_values(self, model: Path, options: dict) -> None:
        with pytest.raises(InputError):
            load(model, **options)

    def test_closed(self, model: Path) -> None:
        session = load(model, plan="cpu")
        session.close()
        session.close()
        with pytest.raises(InputError, match="closed"):
            session.run(standin.feeds(0))
