"""Many layers in one block of memory: laid out, run elsewhere, read back, checked.

Each buffer lies between two guards; a task's outputs once for the whole task and once for every
part of a random cut. All runs twice, on arenas whose guards and outputs hold NaN and another
pattern: reads beside a buffer show as differing results, and what is written as what keeps neither.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from kernel_harness import FILLS, Array, Range, written_elements

from hetcomp.codegen.lower import Lowered
from hetcomp.codegen.lowered_kernel import LoweredKernel
from hetcomp.plan.graph import Kernel, Space, Task

__all__ = ["ALIGNMENT", "Arena", "Call", "Image", "Place", "Trial", "run_trials"]

GUARD_BYTES = 1024
ALIGNMENT = 128

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Trial:
    """A lowered model with its inputs."""

    lowered: Lowered
    feeds: dict[str, Array]


@dataclass(frozen=True)
class Place:
    """A buffer in the arena, its guards not counted."""

    offset: int
    size: int


@dataclass(frozen=True)
class Call:
    """A range of tiles of a task, with the index of its kernel and its buffers."""

    kernel: int
    task: Task
    places: tuple[Place, ...]
    part: Range


@dataclass(frozen=True)
class _Cut:
    """Where a task's outputs went: whole, and part by part."""

    task: Task
    dtypes: tuple[str, ...]
    whole: tuple[Place, ...]
    parts: tuple[tuple[Place, ...], ...]


@dataclass
class Arena:
    """All buffers, kernels (with the runtime's records of them) and calls."""

    size: int = 0
    calls: list[Call] = field(default_factory=list)
    kernels: list[LoweredKernel] = field(default_factory=list)
    records: list[Kernel] = field(default_factory=list)
    _cuts: list[_Cut] = field(default_factory=list)
    _data: list[tuple[Place, Array]] = field(default_factory=list)

    def add(self, trial: Trial, rng: random.Random | None) -> list[Place]:
        """Lay out a trial, with cuts by `rng` if given; the places of its outputs."""
        graph, first = trial.lowered.graph, len(self.kernels)
        prefix = f"t{first}_"
        for kernel, record in zip(trial.lowered.kernels, graph.kernels, strict=True):
            self.kernels.append(replace(kernel, symbol=prefix + kernel.symbol))
            self.records.append(replace(record, symbol=prefix + record.symbol))
        places = self._operands(trial)
        for task in graph.tasks:
            inputs = tuple(places[graph.root(tensor)] for tensor in task.inputs)
            sizes = [graph.tensors[graph.root(tensor)].size_bytes for tensor in task.outputs]
            whole = Range(0, task.rows.extent, 0, task.channels.extent)
            made = []
            for part in (whole, *(random_cut(task, rng) if rng is not None else ())):
                outputs = tuple(self._place(size) for size in sizes)
                self.calls.append(Call(first + task.kernel, task, (*inputs, *outputs), part))
                made.append(outputs)
            dtypes = tuple(graph.tensors[tensor].dtype for tensor in task.outputs)
            self._cuts.append(_Cut(task, dtypes, made[0], tuple(made[1:])))
            places |= {graph.root(t): p for t, p in zip(task.outputs, made[0], strict=True)}
        return [places[graph.root(tensor)] for tensor in graph.outputs]

    def _operands(self, trial: Trial) -> dict[int, Place]:
        graph = trial.lowered.graph
        constants = iter(trial.lowered.constants)
        places = {}
        for index, tensor in enumerate(graph.tensors):
            constant = tensor.space is Space.CONSTANT
            if tensor.alias_of is None and (constant or index in graph.inputs):
                places[index] = self._place(tensor.size_bytes)
                array = next(constants) if constant else trial.feeds[tensor.name]
                self._data.append((places[index], array))
        return places

    def _place(self, size: int) -> Place:
        """Room for `size` bytes behind a guard."""
        start = -(-(self.size + GUARD_BYTES) // ALIGNMENT) * ALIGNMENT
        self.size = start + size + GUARD_BYTES
        return Place(start, size)

    def image(self, fill: int) -> Image:
        """The memory before the run."""
        image = np.full(self.size, fill, np.uint8)
        for place, array in self._data:
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            image[place.offset : place.offset + place.size] = data
        return image

    def check(self, images: Sequence[Image]) -> None:
        """What has been written, and that parts are the whole."""
        self._check_guards(images)
        for cut in self._cuts:
            _check_cut(cut, images)

    def _check_guards(self, images: Sequence[Image]) -> None:
        outputs = np.zeros(self.size, bool)
        for cut in self._cuts:
            for place in (*cut.whole, *(place for part in cut.parts for place in part)):
                outputs[place.offset : place.offset + place.size] = True
        for fill, image in zip(FILLS, images, strict=True):
            changed = np.flatnonzero((image != self.image(fill)) & ~outputs)
            assert changed.size == 0, f"written beside the outputs of {self._near(int(changed[0]))}"

    def _near(self, offset: int) -> str:
        """The task whose outputs lie nearest."""

        def distance(call: Call) -> int:
            return min(abs(place.offset - offset) for place in call.places)

        task = min(self.calls, key=distance).task
        return f"{task.name} ({task.kind})"


def random_cut(task: Task, rng: random.Random) -> list[Range]:
    """Up to four ranges that are the whole."""
    rows, channels = (
        sorted({grid.legal_cut(rng.randint(0, grid.extent)), grid.extent} - {0})
        for grid in (task.rows, task.channels)
    )
    return [
        Range(r0, r1, c0, c1)
        for r0, r1 in zip([0, *rows], rows, strict=False)
        for c0, c1 in zip([0, *channels], channels, strict=False)
    ]


def _check_cut(cut: _Cut, images: Sequence[Image]) -> None:
    what = f"{cut.task.name} ({cut.task.kind})"
    for index, dtype in enumerate(cut.dtypes):
        size = np.dtype(dtype).itemsize
        whole = [_bytes(image, cut.whole[index]) for image in images]
        np.testing.assert_array_equal(*whole, err_msg=f"{what} reads beside its buffers")
        count: Any = 0
        for part in cut.parts:
            parts = [_bytes(image, part[index]) for image in images]
            written = written_elements(parts, dtype)
            count = count + written.astype(np.int32)
            for value, expected in zip(parts, whole, strict=True):
                np.testing.assert_array_equal(
                    value.reshape(-1, size)[written],
                    expected.reshape(-1, size)[written],
                    err_msg=f"{what}: a part differs from the whole",
                )
        missed, twice = int((count == 0).sum()), int((count > 1).sum())
        assert (missed, twice) == (0, 0), f"{what}: {missed} not written, {twice} written twice"


def _bytes(image: Image, place: Place) -> Image:
    return image[place.offset : place.offset + place.size]


def run_trials(
    trials: Sequence[Trial], seed: int, execute: Callable[[Arena], Sequence[Image]]
) -> list[list[Array]]:
    """Outputs of all trials.

    Parameters
    ----------
    trials
        Layers to run.
    seed
        Of the cuts.
    execute
        Makes all calls, in order, on one image for each of `FILLS`, and returns the images.
    """
    arena, rng = Arena(), random.Random(seed)
    places = [arena.add(trial, rng) for trial in trials]
    images = execute(arena)
    arena.check(images)
    return [_outputs(trial, found, images[0]) for trial, found in zip(trials, places, strict=True)]


def _outputs(trial: Trial, places: Sequence[Place], image: Image) -> list[Array]:
    graph = trial.lowered.graph
    tensors = [graph.tensors[index] for index in graph.outputs]
    return [
        _bytes(image, place).view(tensor.dtype).reshape(tensor.shape)
        for place, tensor in zip(places, tensors, strict=True)
    ]
