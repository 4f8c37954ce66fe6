"""Memory of inputs and outputs: without copies, at one address, and other owners' memory."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import standin
from fresh_process import Script, build_application, run_program
from numpy.typing import NDArray

from hetcomp.errors import FeedError, InputError
from hetcomp.runtime import Session, load

NAMES = ("x", "y", "out", "out2")


class Foreign:
    """An object of another library: nothing but DLPack."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


class OnGpu(Foreign):
    """The same, which claims to be elsewhere."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("not exported to the CPU")


def buffers(session: Session) -> dict[str, NDArray[Any]]:
    return {name: session.buffer(name) for name in NAMES}


def run_in(session: Session, memory: dict[str, NDArray[Any]], seed: int) -> bool:
    feeds = standin.feeds(seed)
    for name, array in feeds.items():
        memory[name][:] = array
    for name in ("out", "out2"):
        memory[name][:] = np.nan
    out = {name: memory[name] for name in ("out", "out2")}
    results = session.run({name: memory[name] for name in ("x", "y")}, out=out)
    expected = standin.reference(**feeds)
    return all(
        results[name] is memory[name] and np.array_equal(memory[name], value)
        for name, value in expected.items()
    )


@pytest.mark.parametrize("plan", ["cpu", "mixed", "gpu"])
def test_in_place(model: Path, plan: str) -> None:
    with load(model, plan=plan) as session:
        memory = buffers(session)
        assert all(array.flags.writeable and array.flags.c_contiguous for array in memory.values())
        assert memory["x"].shape == (23, 64)
        assert memory["out2"].shape == (23 * 64,)
        assert all(run_in(session, memory, seed) for seed in range(5))
        np.testing.assert_array_equal(memory["x"], standin.feeds(4)["x"])  # kept
        results = session.run(standin.feeds(9))  # and other memory as ever
        np.testing.assert_array_equal(results["out"], standin.reference(**standin.feeds(9))["out"])


def test_address_and_contents_outlive_plans(model: Path) -> None:
    with load(model, plan="mixed") as session:
        memory = buffers(session)
        assert run_in(session, memory, 0)
        for plan in ("cpu", "gpu", "rows"):
            session.use_plan(plan)
            again = buffers(session)
            for name in NAMES:
                assert again[name].ctypes.data == memory[name].ctypes.data
            np.testing.assert_array_equal(memory["x"], standin.feeds(0)["x"])
            assert run_in(session, memory, 0)
        session.set_table(standin.tables()[1])
        assert run_in(session, memory, 1)


def test_host_memory_under_a_gpu_plan(model: Path) -> None:
    with load(model, plan="cpu") as session:
        memory = buffers(session)  # before there is a device
        session.use_plan("mixed")
        assert session.buffer("x").ctypes.data == memory["x"].ctypes.data
        assert run_in(session, memory, 2)


def test_buffers_outlive_the_session(model: Path) -> None:
    session = load(model, plan="mixed")
    memory = buffers(session)
    assert run_in(session, memory, 3)
    session.close()
    del session
    gc.collect()
    memory["x"][:] = 1.0
    np.testing.assert_array_equal(memory["out"], standin.reference(**standin.feeds(3))["out"])


def test_buffers_when_the_device_is_given_up(script: Script, model: Path, opencl: str) -> None:
    answer, _ = script(
        f"""
        import numpy as np, standin
        from hetcomp.runtime import load
        session = load({str(model)!r}, plan="rows", fault="enqueue", quiet=True)
        feeds = standin.feeds(1)
        expected = standin.reference(**feeds)["out"]
        x, out = session.buffer("x"), session.buffer("out")
        x[:] = feeds["x"]
        right = []
        for _ in range(2):
            out[:] = 0
            session.run({{"x": x, "y": feeds["y"]}}, out={{"out": out}})
            right.append(bool(np.array_equal(out, expected)))
        moved = session.buffer("out").ctypes.data != out.ctypes.data
        answer = [*right, moved, session.status().device_bad]
        """
    )
    assert answer == [True] * 4


def test_no_such_buffer(model: Path) -> None:
    message = 'no input or output "h0"; it has: x, y, out, out2'
    with load(model, plan="cpu") as session, pytest.raises(InputError, match=message):
        session.buffer("h0")


class TestForeignMemory:
    def test_in_and_out(self, model: Path) -> None:
        feeds = standin.feeds(5)
        target = np.empty((23, 64), np.float32)
        with load(model, plan="cpu") as session:
            foreign = {name: Foreign(array) for name, array in feeds.items()}
            out = Foreign(target)
            results = session.run(foreign, out={"out": out})
        assert results["out"] is out
        expected = standin.reference(**feeds)
        np.testing.assert_array_equal(target, expected["out"])
        np.testing.assert_array_equal(np.from_dlpack(results["out2"]), expected["out2"])

    def test_strided_input_is_copied(self, model: Path) -> None:
        feeds = standin.feeds(5)
        x = Foreign(np.asfortranarray(feeds["x"]))
        with load(model, plan="cpu") as session:
            results = session.run({"x": x, "y": feeds["y"]})
        np.testing.assert_array_equal(results["out"], standin.reference(**feeds)["out"])

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (np.zeros((64, 23), np.float32).T, "not contiguous"),
            (np.zeros((23, 64)), r"got float64 \(23, 64\), expected float32"),
            (np.zeros((64, 23), np.float32), r"got float32 \(64, 23\)"),
            ([[0.0] * 64] * 23, "list has no __dlpack__"),
            (OnGpu(np.zeros((23, 64), np.float32)), "not exported to the CPU"),
        ],
    )
    def test_unusable_outputs(self, model: Path, value: object, message: str) -> None:
        with load(model, plan="cpu") as session, pytest.raises(FeedError, match=message):
            session.run(standin.feeds(0), out={"out": value})

    def test_read_only_output(self, model: Path) -> None:
        target = np.zeros((23, 64), np.float32)
        target.flags.writeable = False
        with load(model, plan="cpu") as session, pytest.raises(FeedError, match="readonly"):
            session.run(standin.feeds(0), out={"out": target})

    def test_input_elsewhere(self, model: Path) -> None:
        feeds = standin.feeds(0) | {"x": OnGpu(np.zeros((23, 64), np.float32))}
        with load(model, plan="cpu") as session, pytest.raises(FeedError, match='input "x"'):
            session.run(feeds)

    def test_unknown_output(self, model: Path) -> None:
        message = "unknown outputs: z; known: out, out2"
        with load(model, plan="cpu") as session, pytest.raises(FeedError, match=message):
            session.run(standin.feeds(0), out={"z": np.zeros(1)})


@pytest.mark.parametrize("plan", ["cpu", "mixed"])
def test_c_door(model: Path, tmp_path: Path, plan: str) -> None:
    program = build_application(tmp_path, "requests.c")
    run_program([str(program), str(model), f'{{"plan": "{plan}"}}', "rows"])
