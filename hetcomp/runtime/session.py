"""An opened model: `Session.run`. Imports no compiler and no TVM."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetcomp.errors import FeedError, InputError
from hetcomp.files import write_text_atomically
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Plan
from hetcomp.plan.table import StepTable
from hetcomp.runtime._ffi_api import ModuleApi, submit
from hetcomp.runtime.at_exit import close_at_exit
from hetcomp.runtime.image import Image
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

__all__ = ["Session"]


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
