"""Inferences without waiting: order, cancelling, closing in the middle, many threads."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import standin
from fresh_process import Script

from hetcomp.errors import CancelledError, FeedError, InputError, InternalError
from hetcomp.runtime import Session, load

PLANS = ["cpu", "mixed"]
BOUND_S = 10.0
"""Twice the default time-out of the device."""


def right(results: Mapping[str, Any], seed: int) -> bool:
    expected = standin.reference(**standin.feeds(seed))
    return all(np.array_equal(results[name], value) for name, value in expected.items())


@pytest.mark.parametrize("plan", PLANS)
def test_submit_and_wait(model: Path, plan: str) -> None:
    with load(model, plan=plan) as session:
        requests = [session.submit(standin.feeds(seed)) for seed in range(20)]
        assert all(right(item.result(BOUND_S), seed) for seed, item in enumerate(requests))
        assert requests[0].wait(0)
        assert not requests[0].cancel()  # too late
        assert session.status().runs == 20


def test_feeds_are_kept_alive(model: Path) -> None:
    with load(model, plan="cpu") as session:
        requests = []
        for seed in range(50):
            requests.append(session.submit(standin.feeds(seed)))
            np.full((23, 64), np.nan, np.float32)  # takes the memory, were it free
        assert all(right(item.result(BOUND_S), seed) for seed, item in enumerate(requests))


def test_requests_dropped_unfinished(model: Path) -> None:
    with load(model, plan="cpu") as session:
        for seed in range(50):
            session.submit(standin.feeds(seed))
        assert right(session.run(standin.feeds(3)), 3)
        assert session.status().runs <= 51


def slow(folder: Path) -> Path:
    """The stand-in with kernels that take some 50 ms an inference."""

    def edit(text: str) -> str:
        wait = "#include <unistd.h>\nKERNEL(bias) { usleep(25000);"
        return text.replace("KERNEL(bias) {", wait)

    return standin.build(folder, edit_c=edit)


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return slow(tmp_path_factory.mktemp("slow"))


def test_cancel(slow_model: Path) -> None:
    with load(slow_model, plan="cpu") as session:
        requests = [session.submit(standin.feeds(seed)) for seed in range(3)]
        assert not requests[0].wait(0.01)
        with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
            requests[0].result(0.01)
        assert requests[1].cancel()
        assert not requests[1].cancel()
        with pytest.raises(CancelledError, match="was cancelled"):
            requests[1].result()
        assert right(requests[2].result(BOUND_S), 2)
        assert right(requests[0].result(BOUND_S), 0)
        assert session.status().runs == 2


def test_close_cancels_what_has_not_begun(slow_model: Path) -> None:
    session = load(slow_model, plan="cpu")
    requests = [session.submit(standin.feeds(seed)) for seed in range(40)]
    requests[0].wait(0.01)
    begin = time.monotonic()
    session.close()
    assert time.monotonic() - begin < 1.0  # one inference, not forty
    assert right(requests[0].result(0), 0)
    with pytest.raises(CancelledError):
        requests[-1].result(0)
    with pytest.raises(InputError, match="closed"):
        session.submit(standin.feeds(0))


def test_close_waits_for_runs_of_other_threads(slow_model: Path) -> None:
    session = load(slow_model, plan="cpu")
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(session.run, standin.feeds(seed)) for seed in range(4)]
        time.sleep(0.02)
        closers = [pool.submit(session.close), threading.Thread(target=session.close)]
        closers[1].start()
        session.close()
        closers[1].join(BOUND_S)
        ended = [run.exception(BOUND_S) for run in runs]
    assert all(error is None or isinstance(error, InputError) for error in ended)
    assert all(
        right(run.result(), seed)
        for seed, (run, error) in enumerate(zip(runs, ended, strict=True))
        if error is None
    )


def test_error_of_a_request(model: Path) -> None:
    with load(model, plan="cpu") as session:
        feeds = standin.feeds(3)
        poisoned = {**feeds, "y": feeds["y"].copy()}
        poisoned["y"][0, 0] = standin.POISON
        bad, good = session.submit(poisoned), session.submit(feeds)
        for _ in range(2):
            with pytest.raises(InternalError, match="poisoned input"):
                bad.result(BOUND_S)
        assert right(good.result(BOUND_S), 3)
        with pytest.raises(FeedError, match="missing inputs: y"):
            session.submit({"x": feeds["x"]})


def _hammer(session: Session, first: int) -> bool:
    results = []
    for seed in range(first, first + 25):
        results.append(right(session.run(standin.feeds(seed)), seed))
        results.append(right(session.submit(standin.feeds(seed)).result(BOUND_S), seed))
    return all(results)


@pytest.mark.parametrize("plan", PLANS)
def test_many_threads(model: Path, plan: str) -> None:
    with load(model, plan=plan) as session, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda first: _hammer(session, first), range(0, 800, 100)))
        assert session.status().fallbacks == 0


def test_wedged_device_while_requests_wait(script: Script, model: Path, opencl: str) -> None:
    answer, _ = script(
        f"""
        import numpy as np, standin
        from hetcomp.runtime import load
        session = load({str(model)!r}, plan="rows", timeout_ms=200, fault="wedge", quiet=True)
        feeds = [standin.feeds(seed) for seed in range(5)]
        requests = [session.submit(item) for item in feeds]
        answer = [bool(np.array_equal(request.result(10)["out"], standin.reference(**item)["out"]))
                  for request, item in zip(requests, feeds)]
        answer.append(session.status().device_bad)
        """
    )
    assert answer == [True] * 6


_EXIT = """
import sys, threading, time
import numpy as np, standin
from hetcomp.runtime import load

session = load({path!r}, quiet=True, **{options!r})
feeds = standin.feeds(1)

def forever():
    while True:
        session.run(feeds)

for _ in range(2):
    threading.Thread(target=forever, daemon=True).start()
requests = [session.submit(feeds) for _ in range(200)]
time.sleep(0.3)
print(time.monotonic(), flush=True)
{leave}
"""
LEAVE = {
    "end": "",
    "exit": "sys.exit(0)",
    "libc": "import ctypes; ctypes.CDLL(None).exit(0)",
    "close": "session.close()",
}


TIMEOUT_S = 1.0
LEAVING_S = 10.0 * TIMEOUT_S
"""The time-out, an inference on the CPU, and Python's own end, with room for a busy machine."""

_WAYS: dict[str, dict[str, Any]] = {
    "svm-ahead": {},
    "svm": {"tier": "svm"},
    "event": {"tier": "event"},
    "finish": {"tier": "finish"},
    "coarse": {"tier": "event", "memory": "coarse"},
    "buffer": {"tier": "event", "memory": "buffer"},
    "mailbox": {"tier": "mailbox", "experimental": True},
    "pipeline": {"plan": "gpu", "pipeline": "on"},
}


@pytest.mark.parametrize("leave", list(LEAVE))
def test_exit_during_inferences_on_the_cpu(model: Path, leave: str) -> None:
    _leave(model, leave, plan="cpu")


@pytest.mark.parametrize(
    ("way", "leave"),
    [
        (way, leave)
        for way in _WAYS
        for leave in (LEAVE if way == "svm-ahead" else ("end", "close"))
    ],
)
@pytest.mark.parametrize("fault", ["", "wedge"])
def test_exit_during_inferences(model: Path, opencl: str, way: str, fault: str, leave: str) -> None:
    _leave(model, leave, **{"plan": "mixed", "fault": fault, **_WAYS[way]})


def _leave(model: Path, leave: str, **options: Any) -> None:
    """Leave a process, or close a session, during inferences: in silence, and in time."""
    options["timeout_ms"] = 1e3 * TIMEOUT_S
    text = _EXIT.format(path=str(model), options=options, leave=LEAVE[leave])
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(standin.__file__).parent,
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - float(done.stdout) < LEAVING_S
