"""What a run of the fault campaign does: opens the stand-in, infers, closes, does so again."""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import standin
import standin_npu
from fault_shim import TIMEOUT_MS, Fault, HostMemory, Mode, Shim, build_allocator, build_shim

from hetcomp.errors import HetcompError
from hetcomp.plan.plan import Axis
from hetcomp.runtime import Session, load

__all__ = ["SCENARIOS", "Answer", "Files", "Scenario", "build", "judge", "perform"]

INFERENCES = 3
BOUND = {"open": 100.0, "run": 2.0, "close": 2.0, "change": 10.0}
"""What a call may take, in time-outs: one and what the CPU does; a change takes the device back as
well, which has a second for that, and prepares a table; opening builds the program, twice where it
fails."""

_KEPT = {"kernels": 3, "programs": 0, "memories": 3}
_KEPT_OF_A_TABLE = {"kernels": 8, "programs": 0, "memories": 8}
"""What a device that is given up keeps on purpose, since its kernels may be running still: the
channel's and the mirror's, and those of the tables in use, of which a change of plan has two."""

_UNTOLD = ("clEnqueueNDRangeKernel", "clSetKernelArg", "clSetKernelArgSVMPointer")
_UNTOLD_COPIES = ("clEnqueueSVMMap", "clEnqueueReadBufferRect", "clEnqueueWriteBufferRect")


@dataclass(frozen=True)
class Scenario:
    """What a run does beside the fault; the fields of `load`, but for two.

    `cache`: `none`, or a folder for compiled programs: `cold`, `warm`, or the one to `fill`.
    `changes`: plans to change over to between inferences, which takes a device back that was given
    up.
    """

    plan: str = "mixed"
    chain: str = "auto"
    ahead: str = "on"
    tier: str = "auto"
    memory: str = "auto"
    pipeline: str = "off"
    npu_fault: str = ""
    cache: str = "none"
    changes: tuple[str, ...] = ()


SCENARIOS = {
    "chain": Scenario(),
    "launches": Scenario(chain="off"),
    "svm": Scenario(tier="svm"),
    "event": Scenario(tier="event"),
    "finish": Scenario(tier="finish"),
    "coarse": Scenario(tier="event", memory="coarse"),
    "coarse-finish": Scenario(tier="finish", memory="coarse"),
    "buffer": Scenario(tier="event", memory="buffer"),
    "buffer-finish": Scenario(tier="finish", memory="buffer"),
    "tickets": Scenario(plan="tickets"),
    "mailbox": Scenario(tier="mailbox"),
    "pipeline": Scenario(pipeline="on", plan="gpu"),
    "changes": Scenario(changes=("gpu", "channels", "cpu", "rows")),
    "changes-buffer": Scenario(tier="event", memory="buffer", changes=("cpu", "gpu", "rows")),
    "npu": Scenario(plan="npu"),
    "npu-dies": Scenario(plan="npu", npu_fault="die"),
    "npu-refuses": Scenario(plan="npu", npu_fault="refuse"),
    "npu-late": Scenario(plan="npu", npu_fault="hang"),
    "cold-cache": Scenario(cache="cold"),
    "warm-cache": Scenario(cache="warm"),
}


@dataclass(frozen=True)
class Files:
    """The stand-in with an allocator that can fail, the shim, and a cache with its program."""

    model: Path
    shim: Path
    warm_cache: Path


@dataclass
class Answer:
    """How a run ended; `calls` and `allocations` were made, `left` OpenCL objects were not freed.

    `verdict` is `right`, `error` (one clear error), `dropped`, or what must not be: `wrong`,
    `leak`, `late`, `strange` (an error that is not ours). `dropped` is a wrong result where the
    driver has said that it has enqueued a launch or a copy or set an argument, and has done
    nothing: a caller cannot tell. `longest` has the time of the longest call by name, in seconds.
    """

    verdict: str = "right"
    note: str = ""
    calls: int = 0
    allocations: int = 0
    given_up: int = 0
    left: dict[str, int] = field(default_factory=dict)
    longest: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Time a call that may raise."""
        begin = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - begin
            self.longest[name] = max(self.longest.get(name, 0.0), took)


def build(folder: Path) -> Files:
    """Make what every run needs."""
    tickets = standin.make_table("tickets", [standin.Placing(Axis.ROWS, 1, 2)] * 8)
    tables = [*standin.tables(), tickets, standin_npu.npu_table()]
    model = standin.build(
        folder,
        model_tables=tables,
        more_objects=[build_allocator(folder)],
        edit_graph=standin_npu.npu_graph,
        npu=standin_npu.description(),
    )
    return Files(model, build_shim(folder), folder / "cache")


def perform(files: Files, scenario: Scenario, fault: Fault, baseline: dict[str, int]) -> Answer:
    """Run; `baseline`: the objects that a run without a fault leaves. Call in a fresh process."""
    shim, memory, answer = Shim(files.shim), HostMemory(), Answer()
    shim.order(fault)
    memory.order(fault)
    with tempfile.TemporaryDirectory() as name:
        cache = _cache(scenario, files, Path(name))
        try:
            _infer(files, scenario, cache, answer, lambda: _has_struck(fault, shim))
        except HetcompError as error:
            answer.verdict, answer.note = "error", str(error)
        except BaseException:
            answer.verdict, answer.note = "strange", traceback.format_exc()
        answer.calls, answer.allocations, answer.left = shim.calls, memory.calls, shim.alive()
        if answer.verdict in ("right", "error"):
            tables = 2 if scenario.changes else 1
            kept = {name: _KEPT[name] + tables * more for name, more in _KEPT_OF_A_TABLE.items()}
            allowed = {name: baseline[name] + answer.given_up * kept[name] for name in kept}
            judge(answer, fault, shim.struck, allowed, _litter(cache))
    if answer.verdict == "wrong" and fault.mode in (Mode.SKIP, Mode.NOISE):
        untold = _UNTOLD + (_UNTOLD_COPIES if scenario.memory in ("coarse", "buffer") else ())
        answer.verdict = "dropped" if shim.struck in untold else "wrong"
    answer.note = f"{shim.struck}: {answer.note}"
    return answer


def _has_struck(fault: Fault, shim: Shim) -> bool:
    return fault.mode is not Mode.HOST and 0 < fault.first <= shim.calls


def _cache(scenario: Scenario, files: Files, folder: Path) -> str:
    if scenario.cache == "none":
        return "off"
    if scenario.cache == "warm" and files.warm_cache.exists():
        shutil.copytree(files.warm_cache, folder / "programs")
    return str(files.warm_cache if scenario.cache == "fill" else folder / "programs")


def _litter(cache: str) -> list[str]:
    """What is in the cache beside whole programs."""
    names = [path.name for path in Path(cache).glob("*")]
    return [name for name in names if not name.endswith(".clbin")]


def judge(
    answer: Answer, fault: Fault, struck: str, allowed: dict[str, int], litter: list[str]
) -> None:
    """Turn a good verdict into `late` or `leak` where it is one; `allowed` may be left over."""
    delay_s = 1.5e-3 * TIMEOUT_MS if fault.mode is Mode.DELAY else 0.0
    limits = {name: bound * TIMEOUT_MS * 1e-3 + delay_s for name, bound in BOUND.items()}
    late = {name: took for name, took in answer.longest.items() if took > limits.get(name, 1e9)}
    left = {name: count for name, count in answer.left.items() if count > allowed[name]}
    if late:
        answer.verdict, answer.note = "late", f"{late} {answer.note}"
    elif litter or (left and not _nobodys(fault, struck)):
        answer.verdict, answer.note = "leak", f"{left} {litter} {answer.note}"


def _nobodys(fault: Fault, struck: str) -> bool:
    """Whether objects cannot but be left: they came with an error, or could not be released."""
    if fault.mode is Mode.FORWARD:
        return True
    releases = struck.startswith(("clRelease", "clSVMFree"))
    return fault.lasting or releases or (fault.mode is Mode.ODD_CODE and "Create" in struck)


def _infer(
    files: Files, scenario: Scenario, cache: str, answer: Answer, struck: Callable[[], bool]
) -> None:
    notes = []
    for inferences in (INFERENCES, 1):
        with answer.timing("open"):
            session = _load(files, scenario, cache)
        try:
            right = _check(session, scenario, inferences, answer)
            notes.append(session.status().why_no_gpu)
        finally:
            before = struck()
            with answer.timing("close"):
                session.close()
            answer.given_up += struck() and not before  # it cannot know whether all has ended
        if not right:
            answer.verdict = "wrong"
            break
    answer.note = " | ".join(notes)


def _check(session: Session, scenario: Scenario, inferences: int, answer: Answer) -> bool:
    """Whether all is right; counts how often the device is given up."""
    if scenario.pipeline == "on":
        with answer.timing("run"):
            requests = [session.submit(standin.feeds(seed)) for seed in range(2 * inferences)]
            results = [request.result() for request in requests]
        answer.given_up += session.status().device_bad
        return all(_right(found, seed) for seed, found in enumerate(results))
    was_bad = False
    for seed in range(inferences):
        for plan in ("", *scenario.changes):
            if plan:
                with answer.timing("change"):
                    session.use_plan(plan)
            with answer.timing("run"):
                found = session.run(standin.feeds(seed))
            bad = session.status().device_bad
            answer.given_up += bad and not was_bad
            was_bad = bad
            if not _right(found, seed):
                return False
    return True


def _load(files: Files, scenario: Scenario, cache: str) -> Session:
    options = asdict(scenario)
    del options["changes"]
    return load(
        files.model,
        **{**options, "cache": cache},
        experimental=scenario.tier == "mailbox",
        timeout_ms=TIMEOUT_MS,
        opencl_library=files.shim,
        quiet=True,
    )


def _right(results: dict[str, object], seed: int) -> bool:
    expected = standin.reference(**standin.feeds(seed))
    return all(np.array_equal(results[name], array) for name, array in expected.items())
