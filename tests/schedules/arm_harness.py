"""Runs kernels compiled for 64-bit ARM under qemu: many in one small C program.

All buffers lie in one arena that Python lays out, fills and reads back: each between two guards,
an output once for the whole task and once for every part of a random cut. The program runs twice,
on arenas whose guards and outputs hold NaN and another pattern, so that reads beside a buffer show
as differing results and what is written shows as what keeps neither pattern.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from kernel_harness import FILLS, Array, Range, written_elements

from hetcomp.codegen.kernels import cpu_object
from hetcomp.codegen.lower import Lowered, LoweredKernel
from hetcomp.plan.graph import Space, Task
from hetcomp.schedules.facts import CpuFacts, DeviceFacts

__all__ = ["NEON", "ArmCpu", "Trial", "run_trials", "why_not"]

COMPILER = "aarch64-linux-gnu-gcc"
EMULATOR = "qemu-aarch64-static"
GUARD_BYTES = 1024
ALIGNMENT = 128
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class ArmCpu:
    """A CPU to compile for and to emulate: an instruction it lacks ends the program."""

    facts: DeviceFacts
    mattr: tuple[str, ...]
    emulated: str

    @property
    def llvm(self) -> Any:
        """TVM's target."""
        kind = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "num-cores": 1}
        return tvm.target.Target({**kind, "mattr": list(self.mattr)})


NEON = ArmCpu(CpuFacts.NEON, ("+neon",), "cortex-a53")


def why_not() -> str:
    """Why ARM code cannot run here; empty where it can."""
    missing = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]
    if not missing:
        return ""
    return (
        f"{', '.join(missing)} missing: ARM kernels are not run; "
        "apt-get install qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
    )


@dataclass(frozen=True)
class Trial:
    """A lowered model with its inputs."""

    lowered: Lowered
    feeds: dict[str, Array]


@dataclass(frozen=True)
class _Place:
    """A buffer in the arena, its guards not counted."""

    offset: int
    size: int


@dataclass(frozen=True)
class _Call:
    kernel: int
    places: tuple[_Place, ...]
    part: Range


@dataclass(frozen=True)
class _Cut:
    """A task with where its outputs went: whole, and part by part."""

    task: Task
    dtypes: tuple[str, ...]
    whole: tuple[_Place, ...]
    parts: tuple[tuple[_Place, ...], ...]


class _Arena:
    """Lays out buffers, calls and what to fill in."""

    def __init__(self) -> None:
        self.size = 0
        self.calls: list[_Call] = []
        self.cuts: list[_Cut] = []
        self.data: list[tuple[_Place, Array]] = []

    def place(self, size: int) -> _Place:
        """Room for `size` bytes behind a guard."""
        start = -(-(self.size + GUARD_BYTES) // ALIGNMENT) * ALIGNMENT
        self.size = start + size + GUARD_BYTES
        return _Place(start, size)

    def image(self, fill: int) -> npt.NDArray[np.uint8]:
        """The arena before the run."""
        image = np.full(self.size, fill, np.uint8)
        for place, array in self.data:
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            image[place.offset : place.offset + place.size] = data
        return image

    def program(self) -> npt.NDArray[np.int64]:
        """Calls as the C program reads them."""
        words: list[int] = [len(self.calls)]
        for call in self.calls:
            words += [call.kernel, len(call.places), *(place.offset for place in call.places)]
            words += [call.part.row_begin, call.part.row_end]
            words += [call.part.channel_begin, call.part.channel_end]
        return np.array(words, np.int64)


def _add(arena: _Arena, trial: Trial, first_kernel: int, rng: random.Random) -> list[_Place]:
    """Lay out one trial; the places of its outputs."""
    graph = trial.lowered.graph
    places: dict[int, _Place] = {}
    constants = iter(trial.lowered.constants)
    for index, tensor in enumerate(graph.tensors):
        if tensor.alias_of is None and (tensor.space is Space.CONSTANT or index in graph.inputs):
            places[index] = arena.place(tensor.size_bytes)
            given = tensor.space is Space.CONSTANT
            arena.data.append(
                (places[index], next(constants) if given else trial.feeds[tensor.name])
            )
    for task in graph.tasks:
        inputs = tuple(places[graph.root(tensor)] for tensor in task.inputs)
        kernel = first_kernel + task.kernel
        sizes = [graph.tensors[graph.root(tensor)].size_bytes for tensor in task.outputs]
        made = []
        whole = Range(0, task.rows.extent, 0, task.channels.extent)
        for part in (whole, *_random_cut(task, rng)):
            outputs = tuple(arena.place(size) for size in sizes)
            arena.calls.append(_Call(kernel, (*inputs, *outputs), part))
            made.append(outputs)
        dtypes = tuple(graph.tensors[tensor].dtype for tensor in task.outputs)
        arena.cuts.append(_Cut(task, dtypes, made[0], tuple(made[1:])))
        places |= {graph.root(t): place for t, place in zip(task.outputs, made[0], strict=True)}
    return [places[graph.root(tensor)] for tensor in graph.outputs]


def _random_cut(task: Task, rng: random.Random) -> list[Range]:
    """Up to four ranges that are the whole."""
    rows, channels = task.rows.extent, task.channels.extent
    ends = [
        sorted({grid.legal_cut(rng.randint(0, grid.extent)), grid.extent} - {0})
        for grid in (task.rows, task.channels)
    ]
    assert (ends[0][-1], ends[1][-1]) == (rows, channels)
    return [
        Range(r0, r1, c0, c1)
        for r0, r1 in zip([0, *ends[0]], ends[0], strict=False)
        for c0, c1 in zip([0, *ends[1]], ends[1], strict=False)
    ]


def run_trials(trials: Sequence[Trial], cpu: ArmCpu, folder: Path, seed: int) -> list[list[Array]]:
    """Run all trials and check what they write and where; their outputs."""
    arena, rng = _Arena(), random.Random(seed)
    kernels: list[LoweredKernel] = []
    results = []
    for number, trial in enumerate(trials):
        results.append(_add(arena, trial, len(kernels), rng))
        kernels += [
            replace(kernel, symbol=f"t{number}_{kernel.symbol}") for kernel in trial.lowered.kernels
        ]
    program = _build(kernels, cpu, folder)
    images = [_run(program, cpu, arena, folder / f"arena{fill}", fill) for fill in FILLS]
    _check_guards(arena, images)
    for cut in arena.cuts:
        _check_cut(cut, images)
    return [
        [
            _value(images[0], place).view(tensor.dtype).reshape(tensor.shape)
            for place, tensor in zip(
                places, (trial.lowered.graph.tensors[i] for i in trial.lowered.graph.outputs),
                strict=True,
            )
        ]
        for trial, places in zip(trials, results, strict=True)
    ]  # fmt: skip


def _build(kernels: Sequence[LoweredKernel], cpu: ArmCpu, folder: Path) -> Path:
    objects = cpu_object(kernels, cpu.facts, cpu.llvm, folder / "kernels.o")
    names = [f"__tvm_ffi_{kernel.symbol}" for kernel in kernels]
    table = folder / "table.c"
    table.write_text(
        '#include "arm_driver.h"\n'
        + "".join(f"int {name}(void*, const Any*, int32_t, Any*);\n" for name in names)
        + f"const Kernel kernels[] = {{{', '.join(names)}}};\n"
    )
    here = Path(__file__).parent
    program = folder / "program"
    sources = [os.fspath(path) for path in (table, here / "arm_driver.c", objects)]
    _run_tool([COMPILER, "-O1", "-static", f"-I{here}", *sources, "-o", os.fspath(program), "-lm"])
    return program


def _run(program: Path, cpu: ArmCpu, arena: _Arena, path: Path, fill: int) -> npt.NDArray[np.uint8]:
    calls = path.with_suffix(".calls")
    arena.program().tofile(calls)
    arena.image(fill).tofile(path)
    _run_tool([EMULATOR, "-cpu", cpu.emulated, *map(os.fspath, (program, calls, path))])
    return np.fromfile(path, np.uint8)


def _run_tool(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}"


def _check_guards(arena: _Arena, images: Sequence[npt.NDArray[np.uint8]]) -> None:
    """Everything that is no output is as it was."""
    outputs = np.zeros(arena.size, bool)
    for cut in arena.cuts:
        for places in (cut.whole, *cut.parts):
            for place in places:
                outputs[place.offset : place.offset + place.size] = True
    for fill, image in zip(FILLS, images, strict=True):
        changed = np.flatnonzero((image != arena.image(fill)) & ~outputs)
        assert changed.size == 0, f"written beside the outputs: {_near(arena, int(changed[0]))}"


def _near(arena: _Arena, offset: int) -> str:
    cut = min(
        arena.cuts, key=lambda c: min(abs(p.offset - offset) for p in (*c.whole, *sum(c.parts, ())))
    )
    return f"{cut.task.name} ({cut.task.kind})"


def _check_cut(cut: _Cut, images: Sequence[npt.NDArray[np.uint8]]) -> None:
    what = f"{cut.task.name} ({cut.task.kind})"
    for index, dtype in enumerate(cut.dtypes):
        whole = [_value(image, cut.whole[index]) for image in images]
        np.testing.assert_array_equal(*whole, err_msg=f"{what} reads beside its buffers")
        count = np.zeros(whole[0].size // np.dtype(dtype).itemsize, np.int32)
        for part in cut.parts:
            parts = [_value(image, part[index]) for image in images]
            written = written_elements(parts, dtype)
            count += written
            size = np.dtype(dtype).itemsize
            for value, expected in zip(parts, whole, strict=True):
                np.testing.assert_array_equal(
                    value.reshape(-1, size)[written],
                    expected.reshape(-1, size)[written],
                    err_msg=f"{what}: a part differs from the whole",
                )
        assert (count == 1).all(), (
            f"{what}: {(count == 0).sum()} unwritten, {(count > 1).sum()} twice"
        )


def _value(image: npt.NDArray[np.uint8], place: _Place) -> npt.NDArray[np.uint8]:
    return image[place.offset : place.offset + place.size]
