"""The distinct tasks of a model that have something to tune, each under a key of its structure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hetcomp.codegen.functions import kernel_key, structure_key
from hetcomp.codegen.kernel_table import Chosen
from hetcomp.codegen.lower import Lowered
from hetcomp.plan.graph import Space as TensorSpace
from hetcomp.plan.graph import Task
from hetcomp.schedules.choice import DIRECT, Choice, Knob, Space
from hetcomp.schedules.facts import DeviceFacts
from hetcomp.schedules.scheduled import Scheduled
from hetcomp.schedules.select import schedule

__all__ = ["ALGORITHM", "TaskCollector", "TuneTask", "for_processors", "spaces_of"]

ALGORITHM = "algorithm"
"""Name of the parameter on which the rest of a space depends."""
_SMALL_BYTES = 16 << 10


@dataclass(frozen=True)
class TuneTask:
    """One fused function to tune.

    Attributes
    ----------
    key
        Hash of the function's structure and of which parameters are constant; names do not count.
    baseline
        Key of the default kernel's code: measured ratios hold for it only.
    name
        The first task of the model that runs it.
    what
        Kind and shapes, for people.
    base
        Choice of the default kernel: empty, or the algorithm where no other is wanted.
    func, constants
        The fused function, and positions of its constant parameters.
    spaces
        What can be chosen, for each algorithm.
    opencl
        Whether it has an OpenCL kernel.
    uses
        Tasks of the model that run it.
    flops
        Work of one run.
    rows, channels
        Extents of the default tile grids.
    weight_bytes
        Size of its constants.
    small
        Constants that trials keep, by position: scales, limits, biases. A quantised layer whose
        scales and limits are drawn by chance has one output only.
    """

    key: str
    baseline: str
    name: str
    what: str
    base: Choice
    func: Any
    constants: frozenset[int]
    spaces: Mapping[str, Space]
    opencl: bool
    uses: int
    flops: int
    rows: int
    channels: int
    weight_bytes: int
    small: Mapping[int, np.ndarray[Any, Any]]


def spaces_of(
    func: Any, constants: frozenset[int], facts: DeviceFacts, default: Scheduled
) -> dict[str, Space]:
    """The space of every algorithm that the task offers; in each, the algorithm is fixed.

    Where the default is not the template's own, no other algorithm is wanted.
    """
    offered = next((k for k in default.space.knobs if k.name == ALGORITHM), None)
    if offered is None:
        return {DIRECT: default.space}
    forced = _base(default).algorithm
    spaces = {}
    for value in offered.values if forced is None else (forced,):
        space = schedule(func, constants, facts, Choice(algorithm=str(value))).space
        fixed = replace(offered, values=(value,))
        others = tuple(knob for knob in space.knobs if knob.name != ALGORITHM)
        spaces[str(value)] = replace(space, knobs=(fixed, *others))
    return spaces


def _base(default: Scheduled) -> Choice:
    """The choice that leads to `default`."""
    own = default.space.defaults().get(ALGORITHM, default.variant)
    return Choice() if own == default.variant else Choice(algorithm=default.variant)


def for_processors(
    task: TuneTask, processors: Collection[str], *, groups: bool = False
) -> TuneTask | None:
    """The task without parameters of processors that are not tuned for; None if none are left.

    With `groups`, OpenCL kernels are of class `gpu`, which reads others.
    """
    if not task.opencl and "cpu" not in processors:
        return None
    spaces = {}
    for name, space in task.spaces.items():
        own = groups and space.of_groups
        knobs = (knob for knob in space.knobs if _is_read(knob, processors, groups=own))
        spaces[name] = replace(space, knobs=tuple(knobs))
    task = replace(task, spaces=spaces)
    return task if _has_points(task) else None


def _is_read(knob: Knob, processors: Collection[str], *, groups: bool) -> bool:
    """Whether the kernel of one of `processors` depends on the parameter."""
    part = knob.name.rpartition(".")[0]
    cpu = part in ("", "cpu")
    gpu = part != "cpu" and (knob.of_groups if groups else part != "group")
    return (cpu and "cpu" in processors) or (gpu and "gpu" in processors)


def _has_points(task: TuneTask) -> bool:
    """Whether there is anything to choose."""
    knobs = [knob for space in task.spaces.values() for knob in space.knobs]
    return len(task.spaces) > 1 or any(len(knob.values) > 1 for knob in knobs)


class TaskCollector:
    """Chooses nothing, but notes every function that `lower_tasks` asks about.

    Its answer, which the kernel keeps, is the function's key: so the tasks that run it are found.
    """

    def __init__(self, facts: DeviceFacts) -> None:
        self._facts = facts
        self._found: dict[str, TuneTask] = {}

    def __call__(self, func: Any, constants: frozenset[int], default: Scheduled) -> Chosen:
        """Note the function."""
        key = structure_key(func, constants)
        if key not in self._found:
            self._found[key] = self._task(key, func, constants, default)
        return Chosen(None, key)

    def _task(self, key: str, func: Any, constants: frozenset[int], default: Scheduled) -> TuneTask:
        shapes = [[int(dim) for dim in buffer.shape] for buffer in func.params]
        return TuneTask(
            key=key,
            baseline=kernel_key(default, self._facts),
            name="",
            what=f"{default.kind} {' '.join('x'.join(map(str, s)) for s in shapes)}",
            base=_base(default),
            func=func,
            constants=constants,
            spaces=spaces_of(func, constants, self._facts, default),
            opencl=not default.why_no_opencl,
            uses=0,
            flops=default.flops,
            rows=default.rows.extent,
            channels=default.channels.extent,
            weight_bytes=sum(
                np.dtype(str(func.params[i].dtype)).itemsize * math.prod(shapes[i])
                for i in constants
            ),
            small={},
        )

    def tasks(self, lowered: Lowered) -> tuple[TuneTask, ...]:
        """What can be tuned, heaviest first."""
        graph = lowered.graph
        users = {
            key: [t for t in graph.tasks if graph.kernels[t.kernel].tuned == key]
            for key in self._found
        }
        tasks = [
            replace(
                task,
                name=users[key][0].name,
                uses=len(users[key]),
                small=_small_constants(lowered, users[key][0], task.constants),
            )
            for key, task in self._found.items()
            if users[key] and _has_points(task)
        ]
        return tuple(sorted(tasks, key=lambda task: -task.flops * task.uses))


def _small_constants(
    lowered: Lowered, task: Task, positions: Collection[int]
) -> dict[int, np.ndarray[Any, Any]]:
    """Those of a task's constants that are small and not packed."""
    tensors = lowered.graph.tensors
    constant = (t.space is TensorSpace.CONSTANT and t.alias_of is None for t in tensors)
    stored = [index for index, is_stored in enumerate(constant) if is_stored]
    packed = lowered.kernels[task.kernel].scheduled.packings
    return {
        p: lowered.constants[stored.index(task.inputs[p])]
        for p in sorted(positions)
        if p not in packed and tensors[task.inputs[p]].size_bytes <= _SMALL_BYTES
    }
