"""Bad input ends in one line that says what is wrong, status 2, and nothing half-written."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from networks import Arrays, CompiledNetwork, Networks
from onnx import parser
from tvm_ffi import libinfo

from hetcomp.cli import main

HEAD = '<ir_version: 9, opset_import: ["" : 17, "acme" : 1]>'
GOOD = "g (float[1,8] x) => (float[1,8] y) { y = Relu (x) }"
DYNAMIC = "g (float[n,8] x) => (float[n,8] y) { y = Relu (x) }"


@dataclass(frozen=True)
class Refusal:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


def in_process(*arguments: str | Path) -> Refusal:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return Refusal(result.exit_code, result.stdout, result.stderr)


def in_subprocess(*arguments: str | Path) -> Refusal:
    command = [sys.executable, "-m", "hetcomp", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return Refusal(done.returncode, done.stdout, done.stderr)


def listing(folder: Path) -> dict[str, str]:
    """Every path below `folder`, hidden ones included, with a hash of what a file holds.

    `.ses` in the folder of temporary files is made by ONNX Runtime, once a process.
    """
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
        if path.name != ".ses"
    }


class Bench:
    """A folder to work in, and the check that a refused command leaves no trace there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "m.so"

    def file(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def model(self, text: str = GOOD) -> Path:
        path = self.folder / "net.onnx"
        onnx.save(parser.parse_model(f"{HEAD} {text}"), path)
        return path

    def npz(self, arrays: Arrays) -> Path:
        path = self.folder / "in.npz"
        np.savez(path, **arrays)
        return path

    def refuses(
        self,
        *arguments: str | Path,
        says: str,
        run: Callable[..., Refusal] = in_process,
    ) -> None:
        """Status 2, one line `error: ...` with `says`, no traceback, all files as before."""
        before = listing(self.folder)
        refusal = run(*arguments)
        assert refusal.status == 2, refusal
        assert "Traceback" not in refusal.stdout + refusal.stderr
        assert refusal.stdout == ""
        lines = refusal.stderr.splitlines()
        assert len(lines) == 1, refusal.stderr
        assert lines[0].startswith("error: ")
        assert says in lines[0]
        assert listing(self.folder) == before

    def refuses_to_compile(self, model: Path, *options: str | Path, says: str) -> None:
        self.refuses("compile", model, "-o", self.output, *options, says=says)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Temporary files go into the watched folder too."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def network(networks: Networks) -> CompiledNetwork:
    return networks("deepfm")


class TestModelFile:
    @pytest.mark.parametrize("run", [in_process, in_subprocess])
    def test_missing(self, bench: Bench, run: Callable[..., Refusal]) -> None:
        arguments = ("compile", bench.folder / "no.onnx", "-o", bench.output)
        bench.refuses(*arguments, says="no such model file", run=run)

    def test_folder(self, bench: Bench) -> None:
        bench.refuses_to_compile(bench.folder, says="is not a file")

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "is empty"),
            (random.Random(0).randbytes(5000), "not an ONNX model"),
            (b"\x7fELF" + bytes(100), "not an ONNX model"),
        ],
        ids=["empty", "random", "elf"],
    )
    def test_not_onnx(self, bench: Bench, content: bytes, says: str) -> None:
        bench.refuses_to_compile(bench.file("net.onnx", content), says=says)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
    def test_truncated(self, bench: Bench, network: CompiledNetwork, share: float) -> None:
        whole = network.onnx.read_bytes()
        model = bench.file("net.onnx", whole[: int(share * len(whole))])
        bench.refuses_to_compile(model, says="net.onnx'")

    def test_truncated_in_a_subprocess(self, bench: Bench, network: CompiledNetwork) -> None:
        model = bench.file("net.onnx", network.onnx.read_bytes()[:-100])
        arguments = ("compile", model, "-o", bench.output)
        bench.refuses(*arguments, says="truncated", run=in_subprocess)

    def test_an_earlier_output_stays(self, bench: Bench) -> None:
        bench.output.write_bytes(b"of yesterday")
        bench.refuses_to_compile(bench.file("net.onnx", "no"), says="not an ONNX model")


class TestModel:
    def test_unknown_operator(self, bench: Bench) -> None:
        model = bench.model("g (float[1,8] x) => (float[1,8] y) { y = Reluu (x) }")
        bench.refuses_to_compile(model, says="operator set 17: not among the")

    def test_unknown_domain(self, bench: Bench) -> None:
        model = bench.model("g (float[1,8] x) => (float[1,8] y) { y = acme.Relu (x) }")
        bench.refuses_to_compile(model, says="no operator of this domain is supported")

    def test_dynamic(self, bench: Bench) -> None:
        bench.refuses_to_compile(bench.model(DYNAMIC), says="--shape x=1,8")

    @pytest.mark.parametrize(
        ("shape", "says"),
        [
            ("x=1,2,8", "x"),
            ("x=1,9", "x"),
            ("z=1,8", "z"),
            ("x=0,8", "not a positive whole number"),
            ("x", "expected NAME=N,N"),
        ],
    )
    def test_wrong_shape(self, bench: Bench, shape: str, says: str) -> None:
        bench.refuses_to_compile(bench.model(DYNAMIC), "--shape", shape, says=says)

    def test_shape_of_a_static_input(self, bench: Bench) -> None:
        bench.refuses_to_compile(bench.model(), "--shape", "x=2,8", says="x")


class TestOptions:
    def test_unknown_target(self, bench: Bench) -> None:
        bench.refuses_to_compile(bench.model(), "--target", "vax-dec-ultrix", says="vax-dec-ultrix")

    def test_int8_of_a_float_model(self, bench: Bench) -> None:
        says = "precision int8 needs a model in QDQ form"
        bench.refuses_to_compile(bench.model(), "--precision", "int8", says=says)

    def test_unknown_precision(self, bench: Bench) -> None:
        bench.refuses_to_compile(bench.model(), "--precision", "f64", says="'f64'")

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("compyle",), "No such command 'compyle'"),
            (("compile", "net.onnx"), "Missing option '-o'"),
            (("run", "m.so", "--nonsense"), "No such option '--nonsense'"),
            (("bench", "models", "--threads", "0"), "Invalid value for '--threads'"),
        ],
    )
    def test_usage(self, bench: Bench, arguments: tuple[str, ...], says: str) -> None:
        bench.refuses(*arguments, says=says)

    def test_unknown_plan(self, bench: Bench) -> None:
        bench.refuses_to_compile(bench.model(), "--plan", "fastest", says="neither a plan")

    def test_strict(self, bench: Bench, network: CompiledNetwork) -> None:
        """Some tasks of this network have one tile: nothing to split."""
        options = ("--plan", "split", "--strict")
        bench.refuses_to_compile(network.onnx, *options, says="nothing to cut")


class TestOutput:
    def test_no_such_folder(self, bench: Bench) -> None:
        nowhere = bench.folder / "none" / "m.so"
        bench.refuses("compile", bench.model(), "-o", nowhere, says="does not exist")

    def test_folder(self, bench: Bench) -> None:
        bench.refuses("compile", bench.model(), "-o", bench.folder, says="is a folder")

    def test_below_a_file(self, bench: Bench) -> None:
        below = bench.file("file", "text") / "m.so"
        bench.refuses("compile", bench.model(), "-o", below, says="does not exist")

    def test_unwritable(self, bench: Bench) -> None:
        """/proc is a folder where nobody, not even root, can make a file."""
        if not Path("/proc/self").is_dir():
            pytest.skip("no /proc")
        arguments = ("compile", bench.model(), "-o", "/proc/self/m.so", "--plan", "cpu")
        bench.refuses(*arguments, says="/proc/self/m.so")

    def test_unwritable_outputs(self, bench: Bench, network: CompiledNetwork) -> None:
        nowhere = bench.folder / "none" / "out.npz"
        bench.refuses("run", network.so, "--outputs", nowhere, says="cannot be written")


class TestPlanFile:
    @pytest.fixture
    def plan(self, bench: Bench, network: CompiledNetwork) -> dict[str, Any]:
        path = bench.folder / "plan.json"
        done = in_process("explain", network.so, "--plan-out", path)
        assert done.status == 0, done.stderr
        return dict(json.loads(path.read_text()))

    def refused(self, bench: Bench, network: CompiledNetwork, plan: Any, says: str) -> None:
        text = plan if isinstance(plan, str) else json.dumps(plan)
        path = bench.file("plan.json", text)
        bench.refuses_to_compile(network.onnx, "--plan", path, says=says)

    def test_not_json(self, bench: Bench, network: CompiledNetwork) -> None:
        self.refused(bench, network, "{not json", "not JSON")

    @pytest.mark.parametrize("plan", [[], {}, {"decisions": 3}, {"decisions": [{"task": 1}]}])
    def test_not_a_plan(self, bench: Bench, network: CompiledNetwork, plan: Any) -> None:
        self.refused(bench, network, plan, "plan.json'")

    def test_unknown_task(
        self, bench: Bench, network: CompiledNetwork, plan: dict[str, Any]
    ) -> None:
        plan["decisions"][0]["task"] = "no such task"
        self.refused(bench, network, plan, "no task 'no such task'")

    def test_missing_task(
        self, bench: Bench, network: CompiledNetwork, plan: dict[str, Any]
    ) -> None:
        del plan["decisions"][0]
        self.refused(bench, network, plan, "no decision for task")

    def test_unknown_place(
        self, bench: Bench, network: CompiledNetwork, plan: dict[str, Any]
    ) -> None:
        plan["decisions"][0]["place"] = "dsp"
        self.refused(bench, network, plan, "dsp")

    @pytest.mark.parametrize("cut", [-1, 10**6, 0.5, "half"])
    def test_illegal_cut(
        self, bench: Bench, network: CompiledNetwork, plan: dict[str, Any], cut: Any
    ) -> None:
        split = next(i for i, task in enumerate(self.tasks(network)) if task.rows.extent > 1)
        plan["decisions"][split] |= {"place": "split", "axis": "rows", "cut": cut}
        self.refused(bench, network, plan, "cut")

    def test_split_of_one_tile(
        self, bench: Bench, network: CompiledNetwork, plan: dict[str, Any]
    ) -> None:
        whole = next(i for i, task in enumerate(self.tasks(network)) if task.rows.extent == 1)
        plan["decisions"][whole] |= {"place": "split", "axis": "rows", "cut": 0}
        self.refused(bench, network, plan, "cannot be split along 'rows'")

    @staticmethod
    def tasks(network: CompiledNetwork) -> Any:
        with network.session("cpu") as session:
            return session.graph.tasks


class TestRunInputs:
    def refused(self, bench: Bench, network: CompiledNetwork, feeds: Arrays, says: str) -> None:
        out = bench.folder / "out.npz"
        arguments = ("run", network.so, "--inputs", bench.npz(feeds), "--outputs", out)
        bench.refuses(*arguments, says=says)

    def test_missing_input(self, bench: Bench, network: CompiledNetwork) -> None:
        feeds = dict(network.feeds(1))
        name, _ = feeds.popitem()
        self.refused(bench, network, feeds, f"missing inputs: {name}")

    def test_wrong_name(self, bench: Bench, network: CompiledNetwork) -> None:
        feeds = dict(network.feeds(1))
        _, array = feeds.popitem()
        self.refused(bench, network, feeds | {"nobody": array}, "unknown inputs: nobody")

    def test_wrong_shape(self, bench: Bench, network: CompiledNetwork) -> None:
        feeds = dict(network.feeds(1))
        name, array = feeds.popitem()
        says = f'input "{name}": got'
        self.refused(bench, network, feeds | {name: np.concatenate([array, array])}, says)

    def test_wrong_dtype(self, bench: Bench, network: CompiledNetwork) -> None:
        feeds = dict(network.feeds(1))
        name, array = feeds.popitem()
        self.refused(bench, network, feeds | {name: array.astype(np.float16)}, "got float16")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", random.Random(1).randbytes(999)])
    def test_no_npz(self, bench: Bench, network: CompiledNetwork, content: bytes) -> None:
        inputs = bench.file("in.npz", content)
        bench.refuses("run", network.so, "--inputs", inputs, says="not a readable .npz")

    def test_truncated_npz(self, bench: Bench, network: CompiledNetwork) -> None:
        inputs = bench.npz(network.feeds(1))
        inputs.write_bytes(inputs.read_bytes()[:-50])
        bench.refuses("run", network.so, "--inputs", inputs, says="not a readable .npz")

    def test_no_such_plan(self, bench: Bench, network: CompiledNetwork) -> None:
        bench.refuses("run", network.so, "--plan", "fast", says='no plan "fast"')

    def test_validate_against_garbage(self, bench: Bench, network: CompiledNetwork) -> None:
        model = bench.file("net.onnx", random.Random(2).randbytes(999))
        bench.refuses("run", network.so, "--validate", model, says="ONNX Runtime cannot run it")


class TestCompiledFile:
    """In processes of their own: the dynamic loader must not crash on them."""

    @pytest.mark.parametrize("command", ["run", "explain"])
    @pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
    def test_truncated(
        self, bench: Bench, network: CompiledNetwork, command: str, share: float
    ) -> None:
        whole = network.so.read_bytes()
        file = bench.file("short.so", whole[: int(share * len(whole))])
        bench.refuses(command, file, says="short.so", run=in_subprocess)

    @pytest.mark.parametrize("command", ["run", "explain"])
    def test_random_bytes(self, bench: Bench, command: str) -> None:
        file = bench.file("noise.so", random.Random(3).randbytes(100_000))
        bench.refuses(command, file, says="not an ELF file", run=in_subprocess)

    @pytest.mark.parametrize("command", ["run", "explain"])
    def test_foreign(self, bench: Bench, command: str) -> None:
        foreign = Path(libinfo.find_libtvm_ffi())
        bench.refuses(command, foreign, says="not a compiled model", run=in_subprocess)

    def test_damaged(self, bench: Bench, network: CompiledNetwork) -> None:
        """A flipped byte in the description is found before anything is executed."""
        data = bytearray(network.so.read_bytes())
        data[data.index(b'"kernels"')] ^= 0xFF
        bench.refuses("run", bench.file("bent.so", data), says="bent.so", run=in_subprocess)

    def test_missing(self, bench: Bench) -> None:
        for command in ("run", "explain"):
            bench.refuses(command, bench.folder / "no.so", says="No such file")
