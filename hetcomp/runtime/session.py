"""Runs compiled models: `load` a model.so, `Session.run` it. Imports no compiler and no TVM."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetcomp.devices import describe_cpu
from hetcomp.errors import ArtifactError, FeedError, InputError
from hetcomp.files import write_text_atomically
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Plan
from hetcomp.plan.table import StepTable
from hetcomp.runtime._ffi_api import ModuleApi, open_module, submit
from hetcomp.runtime.at_exit import close_at_exit
from hetcomp.runtime.elf import host_machine
from hetcomp.runtime.image import Image, read_image
from hetcomp.runtime.image_header import check_code
from hetcomp.runtime.records import (
    CopyTimes,
    Latencies,
    Profile,
    SessionStatus,
    TensorInfo,
    parse_profile,
)
from hetcomp.runtime.request import Request
from hetcomp.runtime.stats import SessionStats, parse_stats
from hetcomp.runtime.tensors import check_names, input_tensor, output_tensor

__all__ = ["Session", "load"]


def load(
    path: str | os.PathLike[str],
    *,
    plan: str | None = None,
    device: str = "auto",
    tier: str = "auto",
    experimental: bool = False,
    memory: str = "auto",
    pin: str = "auto",
    threads: int = 1,
    priority: int = 0,
    pipeline: str = "off",
    ahead: str = "auto",
    chain: str = "auto",
    timeout_ms: float = 5000.0,
    npu: str = "auto",
    adapt: str = "auto",
    gpu_slice_us: int = 0,
    trace: bool = False,
    quiet: bool = False,
    opencl_library: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] = "auto",
    verify: str = "auto",
    cpu_core: int | None = None,
    gpu_core: int | None = None,
    fault: str = "",
    npu_fault: str = "",
    epoch_start: int = 0,
    pretended_load: Sequence[tuple[int, float, float]] = (),
) -> Session:
    """Open a compiled model.

    Parameters
    ----------
    path
        A model.so made by `hetcomp.compile` for this machine.
    plan
        Name of one of its plans; None takes the first.
    device
        `auto` uses the OpenCL device if the plan wants it and it serves; `off` does not.
    tier
        How CPU and device wait for each other: `svm-ahead`, `svm`, `event`, `finish` or `cpu`, see
        `SessionStatus.tier`; `auto` takes the fastest that a probe at start-up proves. `mailbox`
        is experimental.
    experimental
        Allows the tier `mailbox`.
    memory
        Where tensors are that both use, see `SessionStatus.memory`: `fine`, `coarse`, `buffer`, or
        `auto`, the first of these that the device has.
    pin
        `on` runs each inference on one core; `off` never does; `auto` does so beside an OpenCL
        device that is itself a CPU, which is pinned to another core then.
    threads
        CPU threads that share each CPU step.
    priority
        Models of a process take turns at the OpenCL device, and sessions with as many `threads` at
        those: the higher goes first, -1000 to 1000. Nobody waits for ever: who was passed over 8
        times goes before everyone else.
    ahead
        Whether the OpenCL device is given the next inference before it is asked for: `on`, `off`,
        or `auto`, where inferences have followed each other closely so far. The device polls for up
        to a millisecond after the last one then.
    chain
        `auto` runs all steps of the OpenCL device by one launch where it is a single core and its
        kernels have one work-item each; `off` launches each step.
    pipeline
        For throughput: whole inferences on either processor, each taking the next request whenever
        it is free, for `submit` and for `run` of several threads. The plans are `cpu` and `gpu`;
        `buffer`, `use_plan` and `set_table` are refused. `on`, `off`, or `auto`: where the model
        was compiled with the objective `throughput`.
    timeout_ms
        How long to wait for the OpenCL device before the CPU takes over.
    gpu_slice_us
        Longest launch on the OpenCL device, as predicted: steps are cut into such pieces, and none
        waits for the CPU on the device (tier `svm` at most), so that other clients are served
        between. 0: no limit. Together with `compile --gpu-cap`, which leaves them the time.
    npu
        Driver for what the plan puts on the NPU: `auto` takes the first that serves, `off` none.
        Without one, or where it refuses, fails or does not answer within `timeout_ms`, the CPU
        computes the same.
    adapt
        Whether the session changes to other plans of the file when a processor slows down, and back
        when it recovers: `on`, `off`, or `auto`, where `plan` is the file's first. Only plans that
        `compile` has predicted times for; inferences are then as fast as the fastest of them,
        within a few, at the cost of a trial now and then.
    trace
        Keep the last 65536 steps for `Session.trace`.
    quiet
        Do not say on standard error why the OpenCL device is not used.
    opencl_library
        OpenCL library to load; None takes the system's.
    cache
        Folder for compiled OpenCL programs. `auto` takes the user's cache folder, but keeps
        nothing where the driver does (PoCL); `off` never keeps any.
    verify
        `auto` compares code and weights with their checksums, which reads the whole file; `off`
        opens a large model faster.
    cpu_core, gpu_core
        Cores to pin to; None takes the first two allowed.
    npu_fault
        For tests: what goes wrong with the NPU's driver, see `NpuFault` in `options.h`.
    fault, epoch_start
        For tests: a deliberate failure (`wedge` or `enqueue`) and the first epoch.
    pretended_load
        For tests: from which inference on the CPU and the OpenCL device seem so many times slower
        than predicted to what chooses the plan.

    Returns
    -------
    Session
        The opened model. The environment variables HETCOMP_DEVICE, HETCOMP_TIER, HETCOMP_PIN,
        HETCOMP_EXPERIMENTAL (1 or 0) and HETCOMP_OPENCL_LIBRARY stand in for arguments that are
        left at their defaults; HETCOMP_CACHE_DIR names the user's cache folder.

    Raises
    ------
    ArtifactError
        The file is missing, damaged, or not a model compiled for this machine.
    InputError
        An option is wrong.
    DeviceError
        The plan needs the OpenCL device, it fails, and the model has no plan `cpu`.

    Examples
    --------
    >>> with load("model.so") as session:  # doctest: +SKIP
    ...     session.run({"x": np.ones((1, 8), np.float32)})["y"].shape
    (1, 4)
    """
    file = Path(path).absolute()
    image = read_image(file)
    machine = host_machine()
    if machine is not None and image.machine != machine:
        raise ArtifactError(
            f"{file} was compiled for another machine ({image.target or image.machine}); "
            "compile it for this one"
        )
    _check_features(file, image.target)
    if verify == "auto":
        check_code(file)
    options: dict[str, Any] = {
        "timeout_ms": float(timeout_ms),
        "threads": threads,
        "priority": priority,
    }
    options["pipeline"] = _wants_pipeline(image, pipeline)
    options |= {"trace": trace, "quiet": quiet, "fault": fault, "epoch_start": epoch_start}
    options["npu_fault"] = npu_fault
    chosen = {"plan": plan, "cpu_core": cpu_core, "gpu_core": gpu_core}
    chosen["device"] = None if device == "auto" else device
    chosen["tier"] = None if tier == "auto" else tier
    chosen["experimental"] = experimental or None
    chosen["memory"] = None if memory == "auto" else memory
    chosen["ahead"] = None if ahead == "auto" else ahead
    chosen["npu"] = None if npu == "auto" else npu
    chosen["adapt"] = None if adapt == "auto" else adapt
    options["gpu_slice_us"] = gpu_slice_us
    options["pretended_load"] = [list(load) for load in pretended_load]
    chosen["chain"] = None if chain == "auto" else chain
    chosen["pin"] = None if pin == "auto" else pin
    chosen["opencl_library"] = None if opencl_library is None else os.fspath(opencl_library)
    chosen["verify"] = None if verify == "auto" else verify
    chosen["cache"] = None if cache == "auto" else os.fspath(cache)
    options |= {key: value for key, value in chosen.items() if value is not None}
    return Session(image, open_module(file, json.dumps(options)))


def _wants_pipeline(image: Image, pipeline: str) -> bool:
    if pipeline not in ("on", "off", "auto"):
        raise InputError(f"pipeline must be on, off or auto, got '{pipeline}'")
    made_for_it = image.build.get("objective") == "throughput"
    return pipeline == "on" or (pipeline == "auto" and made_for_it)


_NEEDED_FEATURES = {
    "x86_64 avx512-fp16": {"avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_fp16"},
    "x86_64 avx512-vnni": {"avx512f", "avx512bw", "avx512vl", "avx512_vnni"},
    "x86_64 avx512": {"avx512f", "avx512bw", "avx512vl"},
    "x86_64 avx2-vnni": {"avx2", "fma", "avx_vnni"},
    "x86_64 avx2": {"avx2", "fma"},
    "aarch64 neon-fp16": {"asimdhp"},
    "aarch64 neon-i8mm": {"i8mm"},
    "aarch64 neon-dotprod": {"asimddp"},
}
"""CPU features that code for a target needs, see `hetcomp.targets`."""


def _check_features(file: Path, target: str) -> None:
    needed = _NEEDED_FEATURES.get(target)
    cpu = describe_cpu().cpu
    if not needed or cpu is None or not cpu.features:
        return
    missing = sorted(needed - set(cpu.features))
    if missing:
        raise ArtifactError(
            f"{file} was compiled for {target}, but this CPU lacks {', '.join(missing)}; "
            "compile it on this machine"
        )


class Session:
    """An opened model. Made by `load`.

    Thread-safe: any number of threads may call any method; inferences run one after the other.
    """

    def __init__(self, image: Image, api: ModuleApi) -> None:
        self._image = image
        self._api: ModuleApi | None = api
        close_at_exit(self)
        tensors = image.graph.tensors
        self._inputs = tuple(TensorInfo.of(tensors[i]) for i in image.graph.inputs)
        self._outputs = tuple(TensorInfo.of(tensors[i]) for i in image.graph.outputs)

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """Inputs in the order of the ONNX model."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """Outputs in the order of the ONNX model."""
        return self._outputs

    @property
    def image(self) -> Image:
        """All that the model.so says about itself."""
        return self._image

    @property
    def graph(self) -> TaskGraph:
        """The model's task graph."""
        return self._image.graph

    @property
    def plan(self) -> Plan | None:
        """The plan in use; None after `set_table` with a table that belongs to no plan."""
        name = self.status().plan
        return next((plan for plan in self._image.plans if plan.name == name), None)

    def run(self, feeds: Mapping[str, Any], out: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One inference.

        Parameters
        ----------
        feeds
            One array per input, by name, of exactly the input's shape and dtype: NumPy's, or any
            object with `__dlpack__` in host memory.
        out
            Arrays to write outputs to, by name, likewise; contiguous and writable.

        Returns
        -------
        dict
            By output name what `out` has, or a new NumPy array. What is a `buffer` of this session
            is not copied.

        Raises
        ------
        FeedError
            A name, shape, dtype or memory is wrong.
        InternalError
            A kernel failed.
        """
        results = self._results(out)
        self._open_api().run(*self._feed_tensors(feeds), *self._output_tensors(results))
        return results

    def submit(self, feeds: Mapping[str, Any], out: Mapping[str, Any] | None = None) -> Request:
        """Ask for an inference without waiting for it.

        Requests begin in the order in which they were submitted. Inputs must not change until the
        request has ended.

        Parameters
        ----------
        feeds, out
            As for `run`.

        Returns
        -------
        Request
            Whose `result` gives what `run` would return.

        Raises
        ------
        FeedError
            As `run`.

        Examples
        --------
        >>> requests = [session.submit(feeds) for feeds in batches]  # doctest: +SKIP
        >>> results = [request.result(timeout=10) for request in requests]  # doctest: +SKIP
        """
        results = self._results(out)
        tensors = [*self._feed_tensors(feeds), *self._output_tensors(results)]
        return Request(submit(self._open_api(), tensors), results)

    def buffer(self, name: str) -> NDArray[Any]:
        """Memory of an input or output: an array that `run` and `submit` use without copying.

        It keeps its address for the life of the session, through `set_table` and `use_plan`, its
        contents until an inference gets another array in its place, and is valid as long as the
        array lives. Where the plan in use cannot compute in
        it, inferences copy. When the OpenCL device is given up (`status().device_bad`), call it
        again: a kernel that hangs may write to the old outputs one day.

        Parameters
        ----------
        name
            Of an input or output.

        Returns
        -------
        ndarray
            Writable. Every call for a name returns the same memory.

        Raises
        ------
        InputError
            No such input or output.

        Examples
        --------
        >>> x, y = session.buffer("x"), session.buffer("y")  # doctest: +SKIP
        >>> x[:] = 1.0  # doctest: +SKIP
        >>> session.run({"x": x}, out={"y": y})["y"] is y  # doctest: +SKIP
        True
        """
        array: NDArray[Any] = np.from_dlpack(self._open_api().buffer(name))
        return array

    def status(self) -> SessionStatus:
        """What runs where, why, and what has happened so far."""
        return SessionStatus(**json.loads(self._open_api().status()))

    def stats(self) -> SessionStats:
        """What the steps take, on average, against what was predicted.

        Of a pipeline this, `status()` and `trace()` tell of the requests on the OpenCL device.
        """
        return parse_stats(json.loads(self._open_api().stats()))

    def trace(self, path: str | os.PathLike[str]) -> None:
        """Write the last steps on either processor, their waits, and what happened, as a Chrome
        trace, which ui.perfetto.dev shows.

        Raises
        ------
        InputError
            The model was loaded without `trace`.
        OSError
            The file cannot be written.
        """
        write_text_atomically(path, self._open_api().trace())

    def profile(self, reps: int = 10, feeds: Mapping[str, NDArray[Any]] | None = None) -> Profile:
        """Run the current table `reps` times with time stamps; without feeds on made-up data."""
        tensors = [] if feeds is None else self._feed_tensors(feeds)
        return parse_profile(json.loads(self._open_api().profile(reps, *tensors)))

    def time_task(
        self,
        task: int | str,
        processor: str,
        *,
        rows: Sequence[int] | None = None,
        channels: Sequence[int] | None = None,
        warmup: int = 3,
        reps: int = 10,
    ) -> tuple[float, ...]:
        """Time one task alone, on made-up data.

        Parameters
        ----------
        task
            Index or name.
        processor
            `cpu` or `gpu`.
        rows, channels
            Half-open tile ranges; None takes all.
        warmup, reps
            Executions before the timed ones, and timed ones.

        Returns
        -------
        tuple of float
            Microseconds per execution; on the GPU without the latency of dispatch.

        Raises
        ------
        InputError
            No such task or range, or the kernel has no OpenCL version.
        DeviceError
            The OpenCL device is missing or has failed.
        """
        index = self._task_index(task)
        info = self.graph.tasks[index]
        row_begin, row_end = rows or (0, info.rows.extent)
        channel_begin, channel_end = channels or (0, info.channels.extent)
        times = self._open_api().time_task(
            index, processor, row_begin, row_end, channel_begin, channel_end, warmup, reps
        )
        return tuple(json.loads(times))

    def latencies(self, reps: int = 100) -> Latencies:
        """Time dispatch on the OpenCL device and waiting for it, apart from any model.

        Raises
        ------
        DeviceError
            There is no device, or kernels and CPU do not see each other's flags.
        """
        lists = json.loads(self._open_api().latencies(reps))
        return Latencies(**{name: tuple(times) for name, times in lists.items()})

    def copies(self, size_bytes: int, reps: int = 20) -> dict[str, CopyTimes]:
        """Time copies to every kind of memory that the OpenCL device has, and back.

        The same bytes are copied again and again, and are in the caches that hold them. To `fine`
        memory the CPU copies; to `coarse` it maps and copies; to a `buffer` the queue copies.

        Parameters
        ----------
        size_bytes
            From 1 to 2**30.
        reps
            Copies each way.

        Returns
        -------
        dict
            By kind of memory, see `SessionStatus.memory`.

        Raises
        ------
        InputError
            An argument is out of range.
        DeviceError
            There is no device, or it fails.
        """
        found = json.loads(self._open_api().copies(size_bytes, reps))
        return {
            memory: CopyTimes(tuple(times["upload_us"]), tuple(times["download_us"]))
            for memory, times in found.items()
        }

    def set_table(self, table: StepTable) -> None:
        """Use another step table, for instance to try a plan.

        Raises
        ------
        InputError
            The table does not fit the model.
        DeviceError
            The table needs the OpenCL device, which is missing or has failed.
        """
        self._open_api().set_table(json.dumps(table.to_json()))

    def use_plan(self, name: str) -> None:
        """Use another of the model's plans; `cpu` takes its place if the OpenCL device is missing.

        Raises
        ------
        InputError
            The model has no plan of this name.
        """
        self._open_api().use_plan(name)

    def close(self) -> None:
        """Free the model's memory, except buffers that are still in use. May be called twice.

        Requests that have not begun are cancelled. Inferences in progress are waited for: each ends
        within `timeout_ms` and the time of an inference on the CPU.
        """
        api, self._api = self._api, None
        if api is not None:
            api.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open_api(self) -> ModuleApi:
        if self._api is None:
            raise InputError("the session is closed")
        return self._api

    def _task_index(self, task: int | str) -> int:
        if isinstance(task, str):
            names = [item.name for item in self.graph.tasks]
            if task not in names:
                raise InputError(f'the model has no task "{task}"')
            return names.index(task)
        if not 0 <= task < len(self.graph.tasks):
            raise InputError(f"no task {task}: the model has {len(self.graph.tasks)}")
        return task

    def _feed_tensors(self, feeds: Mapping[str, Any]) -> list[Any]:
        check_names((info.name for info in self._inputs), feeds)
        return [input_tensor(info, feeds[info.name]) for info in self._inputs]

    def _results(self, out: Mapping[str, Any] | None) -> dict[str, Any]:
        given = out or {}
        names = [info.name for info in self._outputs]
        if unknown := sorted(map(str, given.keys() - set(names))):
            raise FeedError(f"unknown outputs: {', '.join(unknown)}; known: {', '.join(names)}")
        return {
            info.name: given[info.name] if info.name in given else np.empty(info.shape, info.dtype)
            for info in self._outputs
        }

    def _output_tensors(self, results: Mapping[str, Any]) -> list[Any]:
        return [output_tensor(info, results[info.name]) for info in self._outputs]
