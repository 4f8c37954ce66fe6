"""Which table the adapter takes under loads that come and go, on a machine that is made up."""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tvm_ffi import libinfo

from hetcomp.codegen.toolchain import find_toolchain, run_tool, runtime_folder

_DRIVER = Path(__file__).resolve().parents[1] / "support/adapter_driver.cc"
_STEPS = 10
_CPU_US, _GPU_US = 40e3, 44e3
"""The whole network on either processor."""
_SWITCH_RUNS = 20
"""Within which a better table must have been taken."""
_CLOSE = 1.15


@dataclass(frozen=True)
class Rung:
    """A table in which the CPU has so much of every step."""

    name: str
    share: float

    @property
    def text(self) -> str:
        cpu = [(i, self.share * _CPU_US / _STEPS) for i in range(_STEPS)]
        gpu = [(i, (1.0 - self.share) * _GPU_US / _STEPS) for i in range(_STEPS)]
        lanes = [cpu if self.share > 0.0 else [], gpu if self.share < 1.0 else []]
        alone = not all(lanes)
        steps = [f"{0 if alone else wait} {time_us}" for lane in lanes for wait, time_us in lane]
        return f"{self.name} {len(lanes[0])} {len(lanes[1])} {' '.join(steps)}"


RUNGS = (
    Rung("auto", 0.52),
    *(Rung("cpu-x2", 0.36), Rung("cpu-x4", 0.21), Rung("gpu-x2", 0.69), Rung("gpu-x4", 0.81)),
    *(Rung("cpu", 1.0), Rung("gpu", 0.0)),
)

World = Callable[[Rung, int], tuple[float, float]]
"""What an inference takes by a rung, the so-manieth of all: in all, and the CPU's steps."""


@dataclass(frozen=True)
class Load:
    """From inference `start` on the processors are so many times slower."""

    start: int
    cpu: float
    gpu: float


def even(loads: Sequence[Load], noise: float = 0.0, seed: int = 0) -> World:
    """Processors slow down evenly; inferences scatter, a few of them far."""
    rng = random.Random(seed)

    def take(rung: Rung, run: int) -> tuple[float, float]:
        load = [one for one in loads if one.start <= run][-1]
        cpu_us, gpu_us = rung.share * _CPU_US * load.cpu, (1 - rung.share) * _GPU_US * load.gpu
        stretch = 1.0 + abs(rng.gauss(0.0, noise)) + (2.0 if rng.random() < noise / 3 else 0.0)
        return max(cpu_us, gpu_us) * stretch, cpu_us * stretch

    return take


def sliced(loads: Sequence[Load], slice_us: float = 4e3, seed: int = 0) -> World:
    """Time slices: who shares a core waits for the others' slices, and the other processor with
    him. A single processor does not wait for the other one."""
    rng = random.Random(seed)

    def take(rung: Rung, run: int) -> tuple[float, float]:
        load = [one for one in loads if one.start <= run][-1]
        cpu_us, gpu_us = rung.share * _CPU_US, (1 - rung.share) * _GPU_US
        own_us = max(cpu_us, gpu_us)
        factors = [load.cpu if rung.share > 0 else 1.0, load.gpu if rung.share < 1 else 1.0]
        factor = sum(factors) - 1.0
        late_us = rng.random() * slice_us if factor > 1.0 else 0.0
        return own_us * factor + late_us, cpu_us * (load.cpu if rung.share > 0 else 1.0)

    return take


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = runtime_folder() / "src"
    output = tmp_path_factory.mktemp("adapter") / "driver"
    includes = ["-I", str(source), "-isystem", libinfo.find_include_path()]
    includes += ["-isystem", libinfo.find_dlpack_include_path()]
    files = [str(_DRIVER), str(source / "session/adapter.cc"), str(source / "session/replay.cc")]
    run_tool([*find_toolchain().cxx, "-std=c++17", "-O1", *includes, *files, "-o", str(output)])
    return output


@dataclass
class History:
    """Which rung each inference took and how long that was, and the changes of rung."""

    rungs: list[Rung]
    times_us: list[float]
    switches: list[list[str]]

    def typical_us(self, begin: int, end: int) -> float:
        return sorted(self.times_us[begin:end])[(end - begin) // 2]

    def mean_us(self, begin: int, end: int) -> float:
        return sum(self.times_us[begin:end]) / (end - begin)


@contextmanager
def _started(driver: Path) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    process = subprocess.Popen([str(driver)], stdin=pipe, stdout=pipe, text=True, bufsize=1)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def play(driver: Path, world: World, runs: int, rungs: Sequence[Rung] = RUNGS) -> History:
    """So many inferences in `world`."""
    by_name = {rung.name: rung for rung in rungs}
    history = History([], [], [])
    with _started(driver) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{len(rungs)} 0 {' '.join(rung.text for rung in rungs)}\n")
        for run in range(runs):
            rung = by_name[process.stdout.readline().strip()]
            total_us, cpu_us = world(rung, run)
            history.rungs.append(rung)
            history.times_us.append(total_us)
            process.stdin.write(f"{total_us} {cpu_us}\n")
        process.stdout.readline()
        process.stdin.close()
        history.switches = [line.rstrip("\n").split("\t") for line in process.stdout]
    return history


def best_us(world: World, run: int) -> float:
    """What the best static table takes."""
    return min(sum(world(rung, run)[0] for _ in range(99)) / 99 for rung in RUNGS)


_PHASES = 60


def phases(*slowdowns: tuple[float, float]) -> list[Load]:
    return [Load(i * _PHASES, cpu, gpu) for i, (cpu, gpu) in enumerate(slowdowns)]


_QUIET = (1.0, 1.0)


@pytest.mark.parametrize("kind", [even, sliced])
@pytest.mark.parametrize(
    "loaded", [(2.0, 1.0), (1.0, 2.0), (4.0, 1.0), (1.0, 4.0), (1.6, 1.0), (1.0, 1.6)]
)
def test_follows_a_load_that_comes_and_goes(
    driver: Path, kind: Callable[[Sequence[Load]], World], loaded: tuple[float, float]
) -> None:
    world = kind(phases(_QUIET, loaded, _QUIET))
    history = play(driver, world, 3 * _PHASES)
    for phase in range(3):
        begin, end = phase * _PHASES, (phase + 1) * _PHASES
        settled_us = history.typical_us(begin + _SWITCH_RUNS, end)
        assert settled_us <= _CLOSE * best_us(world, begin), (phase, history.switches)
    assert history.rungs[-1].name == "auto"


def test_stays_where_it_is_without_a_load(driver: Path) -> None:
    history = play(driver, even(phases(_QUIET)), 500)
    assert {rung.name for rung in history.rungs} == {"auto"}
    assert history.switches == []


@pytest.mark.parametrize("seed", range(5))
def test_noise_costs_little(driver: Path, seed: int) -> None:
    world = even(phases(_QUIET), noise=0.15, seed=seed)
    history = play(driver, world, 1000)
    static_us = sum(world(RUNGS[0], 0)[0] for _ in range(5000)) / 5000
    assert history.mean_us(0, 1000) <= 1.1 * static_us, history.switches
    at_home = sum(rung.name == "auto" for rung in history.rungs)
    assert at_home >= 850


@pytest.mark.parametrize("seed", range(5))
def test_follows_loads_through_noise(driver: Path, seed: int) -> None:
    loads = phases(_QUIET, (3.0, 1.0), _QUIET, (1.0, 3.0), _QUIET)
    history = play(driver, even(loads, noise=0.05, seed=seed), 5 * _PHASES)
    calm = even(loads)
    for phase in range(5):
        begin, end = phase * _PHASES, (phase + 1) * _PHASES
        settled_us = history.typical_us(begin + _SWITCH_RUNS, end)
        assert settled_us <= 1.05 * _CLOSE * best_us(calm, begin), (phase, history.switches)


def test_a_load_from_the_start(driver: Path) -> None:
    world = even(phases((1.0, 4.0)))
    history = play(driver, world, 60)
    assert history.typical_us(_SWITCH_RUNS, 60) <= _CLOSE * best_us(world, 0)


def test_heat_comes_slowly(driver: Path) -> None:
    loads = [Load(10 * i, 1.0, 1.0 + 0.02 * i) for i in range(100)]
    world = even(loads)
    history = play(driver, world, 1000)
    for begin in range(200, 1000, 100):
        assert history.mean_us(begin, begin + 100) <= 1.3 * best_us(world, begin)
    assert history.typical_us(900, 1000) <= _CLOSE * best_us(world, 950)


def test_trials_are_bounded_while_the_load_stays(driver: Path) -> None:
    world = sliced(phases((1.0, 3.0)))
    history = play(driver, world, 1000)
    settled_us = history.mean_us(100, 1000)
    assert settled_us <= 1.1 * best_us(world, 100), history.switches


def test_changes_are_told(driver: Path) -> None:
    history = play(driver, even(phases(_QUIET, (4.0, 1.0), _QUIET)), 3 * _PHASES)
    assert [(one[1], one[2]) for one in history.switches] == [
        (history.switches[0][1], history.switches[0][2]),
        *itertools.pairwise([history.switches[0][2], "auto"]),
    ]
    run, old, _, reason = history.switches[0]
    assert (old, _PHASES < int(run) <= _PHASES + _SWITCH_RUNS) == ("auto", True)
    assert "cpu 4.0" in reason
