"""`tune`: from an ONNX model to a data base of fastest parameters; and back, for `compile`.

The search itself is `hetcomp.tune`; here it meets the front end, the passes and the devices.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from hetcomp._version import __version__
from hetcomp.codegen.lower import lower_tasks
from hetcomp.device_class import find_groups
from hetcomp.devices import describe_devices, fingerprint
from hetcomp.errors import DeviceError, InputError
from hetcomp.frontend import import_onnx
from hetcomp.machine import Machine
from hetcomp.options import DEVICE_CLASSES, CompileOptions
from hetcomp.passes.static_shapes import require_static_shapes
from hetcomp.pipeline import fusion_pipeline
from hetcomp.precision import computes_integers
from hetcomp.remote import Remote
from hetcomp.schedules.facts import GroupFacts
from hetcomp.schedules.half import FORMATS
from hetcomp.targets import CompileTarget, target_for
from hetcomp.tune.database import Database
from hetcomp.tune.loop import LoopOptions, Stamp, TuneLoop
from hetcomp.tune.results import State, TaskResult
from hetcomp.tune.runner import TrialRunner
from hetcomp.tune.tasks import TaskCollector, TuneTask, for_processors
from hetcomp.tune.winners import TunedChoices

__all__ = ["TuneOptions", "TuneReport", "tasks_of", "tune", "tune_tasks", "tuned_choices"]

DEVICES = ("auto", "cpu", "gpu", "both")
PRECISIONS = ("auto", "f32", "int8")
"""Arithmetics whose kernels can be tuned; those in 16 bits take the winners of `f32`."""
_PROCESSORS = {"cpu": ("cpu",), "gpu": ("gpu",), "both": ("cpu", "gpu")}


@dataclass(frozen=True)
class TuneOptions:
    """How to tune.

    Attributes
    ----------
    trials
        Candidates of all tasks together; those that the data base has already count.
    time_limit_s
        Seconds; a quarter of them is kept for re-measuring winners. None sets no limit.
    device
        Whose time counts: `cpu`, `gpu`, `both`, or `auto`: both where an OpenCL device serves.
    seed
        Of the search's random choices.
    remote
        `HOST:PORT` of a board's `hetcomp_rpc`, or `HOST:PORT,KEY` of a tracker; empty: here.
    device_class
        As in `CompileOptions`.
    exact, precision
        As in `CompileOptions`: what is compiled otherwise has other kernels.

    Raises
    ------
    InputError
        A value is out of range.
    """

    trials: int = 200
    time_limit_s: float | None = None
    device: str = "auto"
    seed: int = 0
    remote: str = ""
    device_class: str = "auto"
    exact: bool = False
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise InputError(f"trials must be at least 1, got {self.trials}")
        if self.device not in DEVICES:
            raise InputError(f"device must be one of {', '.join(DEVICES)}, got '{self.device}'")
        if self.time_limit_s is not None and not self.time_limit_s > 0.0:
            raise InputError(f"time_limit_s must be above 0, got {self.time_limit_s}")
        if self.device_class not in DEVICE_CLASSES:
            classes = ", ".join(DEVICE_CLASSES)
            raise InputError(f"device_class must be one of {classes}, got '{self.device_class}'")
        if self.precision not in PRECISIONS:
            raise InputError(
                f"precision must be one of {', '.join(PRECISIONS)}, got '{self.precision}'"
            )
        if self.remote:
            Remote.parse(self.remote)


@dataclass(frozen=True)
class TuneReport:
    """What tuning found.

    Attributes
    ----------
    tasks
        One result per distinct task, heaviest first.
    device
        Fingerprint under which the data base keeps it.
    processors
        Whose time counted.
    """

    tasks: tuple[TaskResult, ...]
    device: str
    processors: tuple[str, ...]


def tune(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    database: str | os.PathLike[str],
    shapes: Mapping[str, Sequence[int]] | None = None,
    options: TuneOptions | None = None,
    progress: Callable[[State], None] | None = None,
) -> TuneReport:
    """Search the parameters of a model's kernels by measuring them on a device.

    Parameters
    ----------
    model
        Path or bytes of an ONNX file, or a `ModelProto`.
    database
        File that keeps all that is measured; made if missing. A tuning that was interrupted goes
        on where it was.
    shapes
        Input name to shape, for inputs with free dimensions.
    options
        Budget and device; defaults to `TuneOptions()`.
    progress
        Called before every trial.

    Returns
    -------
    TuneReport
        What was found per task; `compile` with `CompileOptions(tuned=database)` uses it.

    Raises
    ------
    InputError
        Model, shapes or data base are wrong.
    DeviceError
        The OpenCL device that is asked for does not serve.

    Examples
    --------
    >>> report = tune("model.onnx", database="tuned.jsonl")  # doctest: +SKIP
    >>> compile("model.onnx", output="model.so",
    ...         options=CompileOptions(tuned="tuned.jsonl"))  # doctest: +SKIP
    """
    Database(Path(database))  # a bad file is refused before the work
    options = options or TuneOptions()
    tasks = tasks_of(model, shapes=shapes, options=options)
    return tune_tasks(tasks, database=database, options=options, progress=progress)


def tune_tasks(
    tasks: Sequence[TuneTask],
    *,
    database: str | os.PathLike[str],
    options: TuneOptions | None = None,
    progress: Callable[[State], None] | None = None,
) -> TuneReport:
    """Tune some tasks, for instance with spaces of your own (`TuneTask.spaces`); see `tune`."""
    options = options or TuneOptions()
    remote = Remote.parse(options.remote) if options.remote else None
    records = Database(Path(database))
    stamp = _stamp(options, remote)
    groups = stamp.groups is not None
    own = [for_processors(task, stamp.processors, groups=groups) for task in tasks]
    wanted = [task for task in own if task is not None]
    loop_options = LoopOptions(options.trials, options.time_limit_s, options.seed)
    with TrialRunner(remote) as runner:
        loop = TuneLoop(wanted, records, runner, stamp, loop_options, progress)
        return TuneReport(loop.run(), stamp.device, stamp.processors)


def tasks_of(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    options: TuneOptions | None = None,
) -> tuple[TuneTask, ...]:
    """The distinct tasks of a model that have something to tune, heaviest first.

    They are those that `compile` makes with the same options.
    """
    options = options or TuneOptions()
    target = target_for("host", options.remote)
    imported = import_onnx(model, shapes=shapes)
    require_static_shapes(imported.mod)
    groups = None if options.device == "cpu" else _groups(options, target)
    integers = computes_integers(imported, options.precision)
    module = fusion_pipeline(integers=integers, fuse_attention=groups is None)(imported.mod)
    collector = TaskCollector(target.cpu)
    lowered = lower_tasks(
        imported,
        module,
        target.cpu,
        gpu=True,
        groups=groups,
        choose=collector,
        exact=options.exact,
    )
    return collector.tasks(lowered)


def tuned_choices(options: CompileOptions, groups: GroupFacts | None) -> TunedChoices:
    """What `compile` asks for parameters; `groups` if OpenCL kernels are of class `gpu`.

    Kernels in 16 bits are known by the float32 kernels that were tuned.

    Raises
    ------
    InputError
        The data base is missing or is none.
    """
    path, plan = Path(options.tuned), options.plan
    if not path.is_file():
        raise InputError(f"data base '{path}' does not exist; hetcomp tune makes one")
    processors = plan if plan in ("cpu", "gpu") else "cpu+gpu" if options.gpu else "cpu"
    devices = Machine.parse(options.rpc).devices()
    device = fingerprint(devices, pinned=True)
    wanted = "cpu-like" if groups is None else "gpu"
    halves = options.precision in FORMATS
    return TunedChoices(
        Database(path).records,
        target_for("host", options.rpc).cpu,
        device,
        processors,
        wanted,
        ", in float32" if halves else "",
    )


def _stamp(options: TuneOptions, remote: Remote | None) -> Stamp:
    described = describe_devices(remote)
    serves = any(d.opencl is not None and d.verdict for d in described)
    name = options.device
    if name == "auto":
        name = "both" if serves else "cpu"
    if name in ("gpu", "both") and not serves:
        raise DeviceError(f"device '{name}': no OpenCL device serves; see hetcomp devices")
    device = fingerprint(described, pinned=True)
    target = target_for("host", options.remote)
    groups = None if name == "cpu" else _groups(options, target)
    version = importlib.metadata.version("apache-tvm")
    cpu = None if remote is None else next(d.cpu for d in described if d.cpu is not None)
    return Stamp(device, _PROCESSORS[name], __version__, version, groups, cpu)


def _groups(options: TuneOptions, target: CompileTarget) -> GroupFacts | None:
    """Facts of the OpenCL device if its kernels are of class `gpu`."""
    if target.gpu is None:
        return find_groups(options.device_class)
    return target.gpu.groups_for(options.device_class, "off")
