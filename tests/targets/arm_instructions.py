"""Instructions of an inference on an emulated ARM core, beside ONNX Runtime's arm64 build.

`PYTHONPATH=tests/support python tests/targets/arm_instructions.py` compiles networks for the core,
runs both by one thread under the emulator that counts, compares outputs and prints a table.
`scripts/arm_peers.sh` fetches ONNX Runtime the first time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from emulated_counts import count_blocks

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.reference import relative_error
from hetcomp.codegen.target_library import fetch_ffi_library
from hetcomp.codegen.toolchain import find_toolchain, runtime_folder
from hetcomp.options import CompileOptions

TRIPLE = "aarch64-linux-gnu"
ROOT = Path(__file__).resolve().parent.parent.parent
SUPPORT = ROOT / "tests" / "support"
OPTIONS = CompileOptions(plan="cpu")
FEW, MANY = 1, 4
"""Inferences, whose difference is what is counted: start-up is in both."""
TIMEOUT_S = 600.0
TOLERANCE = 1e-4
"""Of outputs, relative to the largest: sums in another order, Winograd's method."""
SIZES = {"mobilenetv2": 64, "resnet18": 64, "bert_tiny": 64}
"""Networks with their pixels or tokens."""


@dataclass(frozen=True)
class Row:
    """Instructions of one inference by either engine, and how far their outputs are apart."""

    network: str
    ours: int
    theirs: int
    deviation: float

    @property
    def ratio(self) -> float:
        """Our instructions over theirs."""
        return self.ours / self.theirs


def fetch_peers() -> Path:
    """The folder with arm64's ONNX Runtime, fetched the first time."""
    command = [os.fspath(ROOT / "scripts/arm_peers.sh")]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S
    )  # fmt: skip
    return Path(done.stdout.strip())


def compare(network: str, size: int, core: str, folder: Path, peers: Path) -> Row:
    """Compile and count one network."""
    model = zoo.build(network, size=size)
    feeds = zoo.random_inputs(model)
    onnx.save(model, folder / "model.onnx")
    np.savez(folder / "feeds.npz", **feeds)
    names = [value.name for value in model.graph.input]
    (folder / "inputs").write_bytes(b"".join(feeds[name].tobytes() for name in names))
    ours = _counted(_our_command(model, core, folder), folder, core)
    mine = np.fromfile(folder / "outputs", np.float32)
    (folder / "outputs").unlink()
    theirs = _counted(_peer_command(folder, peers), folder, core)
    expected = np.fromfile(folder / "outputs", np.float32)
    deviation = relative_error(mine, expected)
    assert deviation <= TOLERANCE, f"{network}: outputs differ by {deviation}"
    return Row(network, ours, theirs, deviation)


def _counted(command: Callable[[int], Sequence[str]], folder: Path, core: str) -> int:
    totals = []
    for runs in (FEW, FEW, MANY):  # the first fills caches on disk, such as Python's
        blocks = count_blocks(command(runs), folder, cpu=core, timeout_s=TIMEOUT_S)
        totals.append(sum(one.instructions * one.executions for one in blocks))
    return round((totals[2] - totals[1]) / (MANY - FEW))


def _our_command(model: onnx.ModelProto, core: str, folder: Path) -> Callable[[int], Sequence[str]]:
    library, program = folder / "model.so", folder / "program"
    hetcomp.compile(model, output=library, target=f"{TRIPLE},cpu={core}", options=OPTIONS)
    ffi = fetch_ffi_library(TRIPLE).parent
    include = runtime_folder() / "include"
    subprocess.run(
        [*find_toolchain(TRIPLE).cxx, "-x", "c", os.fspath(SUPPORT / "repeated.c"), "-x", "none",
         f"-I{include}", os.fspath(library), f"-L{ffi}", "-ltvm_ffi", "-o", os.fspath(program)],
        check=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    prefix = ["-L", f"/usr/{TRIPLE}", "-E", f"LD_LIBRARY_PATH={ffi}:{folder}", os.fspath(program)]
    files = [os.fspath(folder / name) for name in ("inputs", "outputs")]
    return lambda runs: [*prefix, str(runs), *files]


def _peer_command(folder: Path, peers: Path) -> Callable[[int], Sequence[str]]:
    root = peers / "root"
    python = [os.fspath(root / "usr/bin/python3.11"), "-E", "-S"]
    script = [os.fspath(SUPPORT / "peer_repeated.py"), os.fspath(peers / "site")]
    prefix = ["-L", os.fspath(root), "-E", "OPENBLAS_NUM_THREADS=1", *python, *script]
    feeds, outputs = (os.fspath(folder / name) for name in ("feeds.npz", "outputs"))
    return lambda runs: [*prefix, os.fspath(folder / "model.onnx"), str(runs), feeds, outputs]


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=",".join(SIZES))
    parser.add_argument("--size", type=int, help="pixels or tokens")
    parser.add_argument("--core", default="cortex-a76")
    arguments = parser.parse_args()
    peers = fetch_peers()
    print(f"{'network':14} {'size':>5} {'ours':>14} {'ONNX Runtime':>14} {'ratio':>6} {'apart':>8}")
    for network in arguments.networks.split(","):
        size = arguments.size or SIZES[network]
        with tempfile.TemporaryDirectory() as folder:
            row = compare(network, size, arguments.core, Path(folder), peers)
        print(
            f"{network:14} {size:5} {row.ours:14,} {row.theirs:14,} {row.ratio:6.2f}"
            f" {row.deviation:8.1e}", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
