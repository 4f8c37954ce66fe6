"""Builds the .so in which a candidate is measured beside its default.

It holds one task several times under each of several choices, in turns, each copy with weights of
its own. So weights come from where they come from in a network, from memory or a far cache, and
default and candidate see the same machine.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hetcomp.codegen.constants import ConstantPool
from hetcomp.codegen.functions import function_from_json
from hetcomp.codegen.image import write_image
from hetcomp.codegen.kernels import opencl_source
from hetcomp.codegen.link import link_model
from hetcomp.codegen.lowered_kernel import LoweredKernel, kernel_record, lowered_kernel
from hetcomp.codegen.toolchain import find_toolchain
from hetcomp.codegen.versions import cpu_code
from hetcomp.devices import CpuInfo
from hetcomp.plan.graph import Grid, Kernel, Space, Task, TaskGraph, Tensor
from hetcomp.plan.plan import Place
from hetcomp.plan.planners import single
from hetcomp.plan.steps import make_table
from hetcomp.schedules.choice import Choice
from hetcomp.schedules.facts import GroupFacts
from hetcomp.schedules.program import parse
from hetcomp.schedules.scheduled import Scheduled
from hetcomp.schedules.select import schedule
from hetcomp.targets import cpu_target, find_target
from hetcomp.tune.contents import drawn

__all__ = ["Trial", "build_trial", "copies_for"]

_FAR_BYTES = 4 << 20
"""Weights of all copies together: more than a second-level cache holds."""
_MOST_COPIES = 6


@dataclass(frozen=True)
class Trial:
    """What to build; plain data, as it goes to another process.

    Attributes
    ----------
    function
        The fused function as JSON.
    constants
        Positions of its constant parameters.
    choices
        Parameters by name of each arm; the first arm is the default.
    opencl
        Whether to build OpenCL kernels too.
    groups
        Facts of an OpenCL device of class `gpu`.
    small
        Constants that are not drawn, by position.
    copies
        Copies of the task under each choice; 0 goes by `copies_for`.
    own_inputs
        Whether each copy has inputs of its own, and all copies keep their outputs: so that
        activations come from far too.
    cpu
        The board's CPU; None: this machine's.
    """

    function: str
    constants: tuple[int, ...]
    choices: tuple[Mapping[str, Any], ...]
    opencl: bool
    groups: GroupFacts | None = None
    small: Mapping[int, np.ndarray[Any, Any]] = field(default_factory=dict)
    copies: int = 0
    own_inputs: bool = False
    cpu: CpuInfo | None = None


def copies_for(weight_bytes: int) -> int:
    """Copies of a task that keep its weights out of the near caches."""
    return max(2, min(_MOST_COPIES, -(-_FAR_BYTES // max(1, weight_bytes))))


def build_trial(trial: Trial, output: Path) -> None:
    """Build the .so at `output`; tasks of arm `a` have index `a` modulo the number of arms."""
    target = find_target("host") if trial.cpu is None else cpu_target(trial.cpu)
    func = function_from_json(trial.function)
    constants = frozenset(trial.constants)
    chosen = [Choice().with_values(values) for values in trial.choices]
    arms = [schedule(func, constants, target.cpu, choice) for choice in chosen]
    kernels = [
        lowered_kernel(f"k{index}_{arm.kind}", arm, trial.groups) for index, arm in enumerate(arms)
    ]
    why = "" if trial.opencl else "not asked for"
    records = [kernel_record(kernel, len(func.params), target.cpu, why) for kernel in kernels]
    graph, arrays = _Graph(func, trial, kernels).build(records)
    with tempfile.TemporaryDirectory(prefix="hetcomp-trial-") as name:
        folder = Path(name)
        code = cpu_code(kernels, target, folder)
        source = opencl_source(kernels, target.opencl) if trial.opencl else ""
        plans = [single(graph, Place.CPU)]
        if trial.opencl:
            plans.append(single(graph, Place.GPU))
        tables = [make_table(graph, plan) for plan in plans]
        image = folder / "image.bin"
        write_image(image, graph, plans, tables, source, arrays, {}, target=target.name)
        toolchain = find_toolchain(target.triple)
        link_model(code.objects, code.symbols, image, output, toolchain=toolchain)


class _Graph:
    """The task graph of a trial."""

    def __init__(self, func: Any, trial: Trial, kernels: Sequence[LoweredKernel]) -> None:
        self._params, self._n_inputs = list(func.params), len(parse(func).inputs)
        self._trial, self._kernels = trial, kernels
        self._tensors: list[Tensor] = []
        self._pool = ConstantPool()

    def build(self, records: Sequence[Kernel]) -> tuple[TaskGraph, Any]:
        own = self._trial.own_inputs
        given: list[int] = []
        shared = {} if own else self._activations("", given)
        tasks: list[Task] = []
        outputs: list[int] = []
        copies = self._trial.copies or copies_for(self._weight_bytes())
        for copy, (arm, kernel) in itertools.product(range(copies), enumerate(self._kernels)):
            name = f"arm{arm}_{copy}"
            inputs = self._activations(f"{name}_", given) if own else shared
            operands = [
                inputs[p] if p in inputs else self._weights(kernel.scheduled, p, copy)
                for p in range(self._n_inputs)
            ]
            results = [
                self._arena(f"{name}_out{p}", p) for p in range(self._n_inputs, len(self._params))
            ]
            outputs += results if own or copy == 0 else []
            tasks.append(_task(name, arm, kernel.scheduled, operands, results, self._tensors))
        graph = TaskGraph(
            name="trial",
            tensors=tuple(self._tensors),
            kernels=tuple(records),
            tasks=tuple(tasks),
            inputs=tuple(given),
            outputs=tuple(outputs),
            constants_bytes=self._pool.size_bytes,
        )
        return graph, self._pool.arrays

    def _activations(self, prefix: str, given: list[int]) -> dict[int, int]:
        """New inputs of the trial by position; they are added to `given`."""
        positions = (p for p in range(self._n_inputs) if p not in self._trial.constants)
        found = {p: self._arena(f"{prefix}in{p}", p) for p in positions}
        given += found.values()
        return found

    def _weight_bytes(self) -> int:
        params = [self._params[p] for p in self._trial.constants]
        return sum(np.dtype(str(p.dtype)).itemsize * math.prod(_shape(p)) for p in params)

    def _arena(self, name: str, position: int) -> int:
        buffer = self._params[position]
        return self._add(name, _shape(buffer), str(buffer.dtype), Space.ARENA, 0)

    def _weights(self, scheduled: Scheduled, position: int, copy: int) -> int:
        packing = scheduled.packings.get(position)
        array = None if packing else self._trial.small.get(position)
        array = self._random(position, copy) if array is None else array
        entry = self._pool.add(array, packing)
        if entry.tensor is None:
            name = f"w{position}_{copy}_{len(self._tensors)}"
            entry.tensor = self._add(
                name, entry.shape, entry.dtype, Space.CONSTANT, entry.offset_bytes
            )
        return entry.tensor

    def _random(self, position: int, copy: int) -> np.ndarray[Any, Any]:
        """Weights of a trained network's magnitude, equal in all arms, but each has its own
        memory."""
        buffer = self._params[position]
        rng = np.random.default_rng(1000 * position + copy)
        return drawn(_shape(buffer), str(buffer.dtype), rng, scale=0.1)

    def _add(
        self, name: str, shape: Sequence[int], dtype: str, space: Space, offset_bytes: int
    ) -> int:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        self._tensors.append(Tensor(name, tuple(shape), dtype, size, space, None, offset_bytes))
        return len(self._tensors) - 1


def _task(
    name: str,
    kernel: int,
    scheduled: Scheduled,
    inputs: Sequence[int],
    outputs: Sequence[int],
    tensors: Sequence[Tensor],
) -> Task:
    weights = [t for t in inputs if tensors[t].space is Space.CONSTANT]
    moved = [t for t in (*inputs, *outputs) if tensors[t].space is Space.ARENA]
    return Task(
        name=name,
        kind=scheduled.kind,
        kernel=kernel,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        rows=Grid(scheduled.rows.extent, scheduled.rows.ragged),
        channels=Grid(scheduled.channels.extent, scheduled.channels.ragged),
        preferred_axis=scheduled.preferred_axis,
        axis_reason=scheduled.axis_reason,
        flops=scheduled.flops,
        weight_bytes=sum(tensors[t].size_bytes for t in weights),
        activation_bytes=sum(tensors[t].size_bytes for t in moved),
        heads=scheduled.heads,
    )


def _shape(buffer: Any) -> list[int]:
    return [int(dim) for dim in buffer.shape]
