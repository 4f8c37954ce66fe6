"""Phases under other work: the rows say what they should, and the other work ends."""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from opencl_device import DEVICES, skip_or_fail

from hetcomp.bench import frames
from hetcomp.bench.background import Background, background, start
from hetcomp.bench.frames import FramesOptions
from hetcomp.bench.sustained_rows import SETTLING, Inference, phase_rows
from hetcomp.cli import main
from hetcomp.errors import DeviceError, InputError
from hetcomp.options import CompileOptions


@pytest.fixture(scope="module")
def opencl() -> None:
    if not DEVICES:
        skip_or_fail("no OpenCL device that serves")


def _taken(phase: int, arm: str, times_ms: list[float], plan: str = "") -> list[Inference]:
    return [Inference(phase, arm, float(i), t, plan or arm) for i, t in enumerate(times_ms)]


def test_rows_compare_with_the_best_static_plan() -> None:
    slow, fast = [80.0] * 7, [42.0] * (SETTLING + 23)
    found = [
        *_taken(0, "adaptive", slow + fast, "cpu"),
        *_taken(0, "auto", [80.0] * 50),
        *_taken(0, "cpu", [40.0] * 50),
        *_taken(0, "gpu", [90.0] * 50),
        *_taken(1, "adaptive", fast),  # the other arms have nothing here
    ]
    rows = {row.arm: row for row in phase_rows("net", ("cpu busy", "quiet"), found)}
    assert set(rows) == {"adaptive", "auto", "cpu", "gpu"}
    adaptive = rows["adaptive"]
    assert (adaptive.best_static, adaptive.settled_after, adaptive.n) == ("cpu", 5, 30)
    assert adaptive.ratio_to_best_static == pytest.approx(42 / 40)
    assert adaptive.plans == {"cpu": 50}
    assert rows["auto"].settled_after is None
    assert rows["auto"].ratio_to_best_static == pytest.approx(2.0)


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_background_works_while_the_block_does() -> None:
    before = os.times().children_user
    with background(Background("cpu", -1)):
        time.sleep(0.5)
    assert os.times().children_user > before + 0.02
    with background(None):
        pass


def test_background_ends_with_its_time() -> None:
    process = start(["cpu", "-1", "0.2"])
    process.communicate(timeout=20)
    assert not _running(process.pid)


def test_background_that_cannot_start_is_an_error() -> None:
    with pytest.raises(DeviceError, match="cannot be started"), background(Background("cpu", 5000)):
        pass


def test_background_that_never_works_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "hangs.py"
    script.write_text("import time\nprint('rea', end='', flush=True)\ntime.sleep(60)\n")
    monkeypatch.setattr("hetcomp.bench.background._SCRIPT", script)
    begin = time.monotonic()
    with pytest.raises(DeviceError, match=r"not ready within 0\.5 s"):
        start(["cpu", "-1", "1"], limit_s=0.5)
    assert time.monotonic() - begin < 10.0


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.01, float("nan"), float("inf")])
def test_frames_refuses_an_arm_without_frames_or_end(seconds: float) -> None:
    with pytest.raises(InputError, match="seconds of an arm"):
        FramesOptions("squeezenet", seconds=seconds)


@pytest.mark.usefixtures("opencl")
def test_frames_are_counted() -> None:
    output, _ = start(["frames", "-1", "1.0", "1.0"]).communicate(timeout=60)
    found = json.loads(output.splitlines()[-1])
    assert 30 <= found["frames"] <= 75
    assert 0 <= found["missed"] <= found["frames"]
    assert 0.0 < found["median_ms"] <= found["most_ms"]


@pytest.mark.usefixtures("opencl")
def test_sustained_command(tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    arguments = ["bench", "models", "--sustained", "0.15", "--models", "squeezenet"]
    arguments += ["--size", "160", "--json", "--plot", str(plot)]
    result = CliRunner().invoke(main, arguments)
    data = json.loads(result.stdout)
    if data["failed"]:
        assert "asleep" in data["failed"][0]["error"]
        pytest.skip("a busy machine chose a single processor, which has no plan to change to")
    run = data["runs"][0]
    arms = {one["arm"] for one in run["inferences"]}
    assert arms == {"adaptive", "auto", "cpu", "gpu"}
    assert {one["phase"] for one in run["inferences"]} == set(range(5))
    assert plot.stat().st_size > 1000


@pytest.mark.usefixtures("opencl")
def test_frames_command(monkeypatch: pytest.MonkeyPatch) -> None:
    brief = partial(CompileOptions, measure_seconds=0.5)  # which plan it is does not count here
    monkeypatch.setattr(frames, "CompileOptions", brief)
    arguments = ["bench", "frames", "--model", "deepfm", "--seconds", "0.5"]
    result = CliRunner().invoke(main, [*arguments, "--busy", "1", "--json"])
    rows = json.loads(result.stdout)["rows"]
    assert [row["arm"] for row in rows] == [
        "nothing",
        "no limit",
        "short launches",
        "cap 0.3",
        "cap 0.3, short launches",
    ]
    assert all(row["frames"] >= 15 for row in rows)
    assert rows[0]["run_median_ms"] is None
    assert all(row["run_median_ms"] > 0.0 for row in rows[1:])
