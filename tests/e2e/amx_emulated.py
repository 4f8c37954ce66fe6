"""A network on driver `amx`, its AMX instructions executed by a trap emulator: right, or not.

    python tests/e2e/amx_emulated.py resnet50 [--size 224] [--bf16]

Compiles it in QDQ form, or in float32 for precision bf16, runs it in a fresh process, and compares
all outputs with those of driver `reference`, bit for bit. Prints what instructions were executed;
of their speed it says nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import npu_comparison
from emulated_amx import Counts, build_emulator, run_in_emulator, why_no_emulator

import hetcomp
from hetcomp.bench import zoo
from hetcomp.options import CompileOptions

_LIMIT_S = 3600.0


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=sorted(zoo.names()))
    parser.add_argument("--size", type=int, help="pixels or tokens; default: the published ones")
    parser.add_argument("--bf16", action="store_true", help="products of bfloat16, not of bytes")
    given = parser.parse_args()
    if missing := why_no_emulator():
        print(missing)
        return 1
    with tempfile.TemporaryDirectory() as name:
        return _compare(given.network, given.size, given.bf16, Path(name))


def _compare(network: str, size: int | None, bf16: bool, folder: Path) -> int:
    so, feeds, counts = folder / "model.so", folder / "feeds.npz", folder / "counts"
    model = zoo.build(network, qdq=not bf16, size=size)
    precision = "bf16" if bf16 else "auto"
    options = CompileOptions(plan="npu", npu_driver="amx", gpu=False, precision=precision)
    artifact = hetcomp.compile(model, output=so, options=options)
    np.savez(feeds, **zoo.random_inputs(model))
    command = [sys.executable, npu_comparison.__file__, str(so), str(feeds)]
    done = run_in_emulator(build_emulator(folder), command, counts, timeout=_LIMIT_S)
    tasks = artifact.graph.tasks
    print(f"{network}: {sum(task.npu for task in tasks)} of {len(tasks)} tasks on driver amx")
    print(f"three inferences against driver reference: {done.stdout.strip()}{done.stderr}")
    if done.returncode == 0:
        found = Counts.read(counts)
        print(", ".join(f"{name} {count}" for name, count in found.instructions.items()))
        print(f"{found.threads} threads have configured tiles, {found.left} not released them")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
