"""Runs compiled CPU kernels task by task, in this process, by tile ranges, on guarded memory.

Every task is run whole and cut in every way a plan may cut it. The parts must write disjoint
elements that together are the whole, with the bits of the whole; nothing else may be written.
What the model returns is compared with ONNX Runtime.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import tvm
from onnx import numpy_helper
from opencl_host import compile_opencl

from hetcomp.codegen.kernel_table import Choose, Chosen
from hetcomp.codegen.lower import Lowered, lower_tasks
from hetcomp.codegen.lowered_kernel import LoweredKernel
from hetcomp.frontend import import_onnx
from hetcomp.pipeline import fusion_pipeline
from hetcomp.plan.graph import Space, Task, TaskGraph
from hetcomp.schedules.choice import Choice
from hetcomp.schedules.facts import DeviceFacts, GroupFacts
from hetcomp.schedules.half import HalfFormat
from hetcomp.schedules.scheduled import Scheduled
from hetcomp.targets import find_target

Array = npt.NDArray[Any]

HOST = find_target("host")
F16_HOST = find_target("host", f16_products=True)
"""The same where the CPU does not multiply float16."""

MATRIX = 2e-6
"""Tolerance of sums of products, relative to the largest result: float32 sums in another order."""
POINTWISE = 1e-6
"""Tolerance of element-wise operators and our approximations of exp, tanh, erf, sigmoid, log."""
EXACT = 0.0
"""For operators that only move or compare values, and for integers."""

_GUARD_BYTES = 1024
_SINGLE_TILES = 12
"""Tiles up to which each is run alone."""
FILLS = (0xFF, 0x5A)
"""0xFF is a NaN in float32 and float64; a byte that keeps both fills has not been written."""


def make_model(
    text: str, weights: Mapping[str, Any] | None = None, *, opset: int = 17
) -> onnx.ModelProto:
    """The ONNX model of `g (inputs) => (outputs) {nodes}`."""
    head = f'<ir_version: 8, opset_import: ["" : {opset}]> '
    model = onnx.parser.parse_model(head + text)
    for name, value in (weights or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


def normal(*shape: int, seed: int = 0) -> Array:
    """Standard normal float32 numbers."""
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def random_feeds(model: onnx.ModelProto, seed: int = 1) -> dict[str, Array]:
    """Standard normal numbers for float inputs, 0 and 1 for all others."""
    rng = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    for value in model.graph.input:
        kind = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        shape = [dim.dim_value for dim in kind.shape.dim]
        numbers = rng.standard_normal(shape)
        feeds[value.name] = np.asarray(
            numbers if np.issubdtype(dtype, np.floating) else numbers > 0, dtype
        )
    return feeds


def reference(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What ONNX Runtime computes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(result) for result in session.run(None, dict(feeds))]


def lower(
    model: onnx.ModelProto,
    facts: DeviceFacts | None = None,
    choose: Choose | None = None,
    groups: GroupFacts | None = None,
    half: HalfFormat | None = None,
) -> Lowered:
    """The task graph of `model`; `groups` makes OpenCL kernels of class `gpu`."""
    imported = import_onnx(model)
    module = fusion_pipeline(fuse_attention=groups is None)(imported.mod)
    cpu = facts or HOST.cpu
    return lower_tasks(imported, module, cpu, gpu=True, choose=choose, groups=groups, half=half)


def with_algorithm(name: str) -> Choose:
    """Chooses the algorithm `name` for every kernel that has a choice of algorithms."""

    def choose(_func: Any, _constants: frozenset[int], default: Scheduled) -> Chosen:
        offered = any(knob.name == "algorithm" for knob in default.space.knobs)
        return Chosen(Choice(algorithm=name) if offered else None, "")

    return choose


def compile_kernels(
    kernels: Sequence[LoweredKernel], facts: DeviceFacts
) -> Callable[[str], Callable[..., Any]]:
    """CPU kernels by symbol, compiled for this machine."""
    functions = {k.symbol: k.scheduled.emit(k.symbol, facts) for k in kernels}
    with tvm.transform.PassContext(disabled_pass=["tirx.StorageRewrite"]):
        llvm = (F16_HOST if facts.f16_products else HOST).llvm
        built = tvm.compile(tvm.IRModule(functions), target=llvm)
    module = built.mod if hasattr(built, "mod") else built
    return lambda symbol: module[symbol]  # type: ignore[no-any-return]


def check(
    model: onnx.ModelProto,
    tolerance: float,
    *,
    feeds: Mapping[str, Array] | None = None,
    facts: DeviceFacts | None = None,
    kinds: Sequence[str] | None = None,
    choose: Choose | None = None,
    groups: GroupFacts | None = None,
) -> Lowered:
    """Check every task under every cut, and the outputs against ONNX Runtime.

    Parameters
    ----------
    tolerance
        Largest error, relative to the largest expected magnitude; 0 wants equality.
    kinds
        Expected kinds of the tasks, layout changes at either end left out; None asks nothing.
    choose
        Chooses the kernels' parameters.
    groups
        Runs the kernels of OpenCL class `gpu` for such a device, instead of the CPU's.
    """
    lowered = lower(model, facts, choose, groups)
    if kinds is not None:
        found = [t.kind for t in lowered.graph.tasks]
        assert [k for k in found if k != "elementwise" or k in kinds] == list(kinds), found
    given = dict(feeds if feeds is not None else random_feeds(model))
    outputs = run_cut(lowered, given, facts, groups)
    for got, expected in zip(outputs, reference(model, given), strict=True):
        assert_close(got, expected, tolerance)
    return lowered


def run_cut(
    lowered: Lowered,
    feeds: Mapping[str, Array],
    facts: DeviceFacts | None = None,
    groups: GroupFacts | None = None,
) -> list[Array]:
    """Check every task under every cut; the outputs of the whole."""
    memory = _Memory(lowered, feeds)
    if groups is None:
        function = compile_kernels(lowered.kernels, facts or HOST.cpu)
    else:
        function = compile_opencl(lowered.kernels, lowered.graph.kernels, HOST.opencl)
    for task in lowered.graph.tasks:
        _run_checked(task, function(lowered.graph.kernels[task.kernel].symbol), memory)
    return [memory.value(index) for index in lowered.graph.outputs]


def assert_close(got: Array, expected: Array, tolerance: float) -> None:
    """Equal shape, type, infinities and NaN; else within `tolerance` of the largest magnitude."""
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    if tolerance == EXACT or not np.issubdtype(expected.dtype, np.floating):
        np.testing.assert_array_equal(got, expected)
        return
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    scale = max(1e-6, float(np.abs(expected[finite]).max(initial=0.0)))
    error = float(np.abs(got[finite] - expected[finite]).max(initial=0.0)) / scale
    assert error <= tolerance, f"error {error:.2e} of the largest magnitude {scale:.3g}"


@dataclass(frozen=True)
class _Buffer:
    """Memory of one root tensor between two guards."""

    whole: npt.NDArray[np.uint8]
    size_bytes: int

    @property
    def data(self) -> npt.NDArray[np.uint8]:
        return self.whole[_GUARD_BYTES : _GUARD_BYTES + self.size_bytes]

    @property
    def address(self) -> int:
        return int(self.data.ctypes.data) if self.size_bytes else int(self.whole.ctypes.data)

    def fill(self, byte: int) -> None:
        self.whole[:] = byte

    def guards_hold(self, byte: int) -> bool:
        end = _GUARD_BYTES + self.size_bytes
        guards = (self.whole[:_GUARD_BYTES], self.whole[end:])
        return all(bool((guard == byte).all()) for guard in guards)


class _Memory:
    """A buffer per root tensor; inputs and constants filled in."""

    def __init__(self, lowered: Lowered, feeds: Mapping[str, Array]) -> None:
        self.graph: TaskGraph = lowered.graph
        self._buffers: dict[int, _Buffer] = {}
        arrays = iter(lowered.constants)
        for index, tensor in enumerate(self.graph.tensors):
            if tensor.alias_of is not None:
                continue
            self._buffers[index] = _allocate(tensor.size_bytes)
            if tensor.space is Space.CONSTANT:
                self._set(index, next(arrays))
        for index in self.graph.inputs:
            self._set(index, feeds[self.graph.tensors[index].name])

    def buffer(self, tensor: int) -> _Buffer:
        return self._buffers[self.graph.root(tensor)]

    def value(self, tensor: int) -> Array:
        kind = self.graph.tensors[tensor]
        data = self.buffer(tensor).data[self.region(tensor)]
        return data.view(kind.dtype).reshape(kind.shape)

    def address(self, tensor: int) -> int:
        kind = self.graph.tensors[tensor]
        return self.buffer(tensor).address + (kind.offset_bytes if kind.pitch_bytes else 0)

    def region(self, tensor: int) -> npt.NDArray[np.bool_]:
        """Which bytes of its buffer belong to a tensor: all, or those of a slice."""
        kind, size = self.graph.tensors[tensor], self.buffer(tensor).size_bytes
        if not kind.pitch_bytes:
            return np.ones(size, bool)
        column = np.arange(size) % kind.pitch_bytes
        width = kind.shape[-1] * np.dtype(kind.dtype).itemsize
        return (column >= kind.offset_bytes) & (column < kind.offset_bytes + width)

    def _set(self, index: int, array: Array) -> None:
        assert array.nbytes == self.graph.tensors[index].size_bytes
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self.buffer(index).data[:] = data


def _allocate(size_bytes: int) -> _Buffer:
    raw = np.empty(size_bytes + 2 * _GUARD_BYTES + 128, np.uint8)
    start = -raw.ctypes.data % 128
    buffer = _Buffer(raw[start : start + size_bytes + 2 * _GUARD_BYTES], size_bytes)
    buffer.fill(FILLS[0])
    return buffer


@dataclass(frozen=True)
class Range:
    """Half-open ranges of row and channel tiles."""

    row_begin: int
    row_end: int
    channel_begin: int
    channel_end: int


def cuts(task: Task) -> Iterator[tuple[Range, ...]]:
    """The whole, cuts by rows and by channels near each third, by both, and single tiles."""
    rows, channels = task.rows.extent, task.channels.extent
    yield (Range(0, rows, 0, channels),)
    for cut in sorted({task.rows.legal_cut(rows * third // 3) for third in (1, 2)}):
        yield (Range(0, cut, 0, channels), Range(cut, rows, 0, channels))
    for cut in sorted({task.channels.legal_cut(channels * third // 3) for third in (1, 2)}):
        yield (Range(0, rows, 0, cut), Range(0, rows, cut, channels))
    row_ends = sorted({task.rows.legal_cut(cut) for cut in range(rows + 1)} - {0})
    channel_ends = sorted({task.channels.legal_cut(cut) for cut in range(channels + 1)} - {0})
    yield _grid(_coarse(row_ends), _coarse(channel_ends))
    if len(row_ends) * len(channel_ends) <= _SINGLE_TILES:
        yield _grid(row_ends, channel_ends)


def _coarse(ends: Sequence[int]) -> list[int]:
    """One end in the middle, and the last."""
    return sorted({ends[len(ends) // 2], ends[-1]})


def _grid(row_ends: Sequence[int], channel_ends: Sequence[int]) -> tuple[Range, ...]:
    """All ranges between neighbouring ends."""
    rows = list(zip([0, *row_ends], row_ends, strict=False))
    channels = list(zip([0, *channel_ends], channel_ends, strict=False))
    return tuple(Range(*row, *channel) for row in rows for channel in channels)


def _run_checked(task: Task, function: Callable[..., Any], memory: _Memory) -> None:
    whole: list[Array] = []
    for parts in cuts(task):
        written = [_written(task, function, memory, part) for part in parts]
        for part, masks in zip(parts, written, strict=True):
            _check_spans(task, memory, part, masks)
        for output, masks in enumerate(zip(*written, strict=True)):
            counts = sum(mask.astype(np.int32) for mask in masks)
            assert (counts == 1).all(), _complaint(task, parts, counts)
            del output
        got = _run_parts(task, function, memory, parts)
        whole = whole or got
        for one, other in zip(whole, got, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=f"{task.name} cut as {parts}")


def _complaint(task: Task, parts: Sequence[Range], counts: Any) -> str:
    return (
        f"{task.name} cut as {parts}: {(counts == 0).sum()} bytes unwritten, "
        f"{(counts > 1).sum()} written by both of {counts.size}"
    )


def _written(
    task: Task, function: Callable[..., Any], memory: _Memory, part: Range
) -> list[npt.NDArray[np.bool_]]:
    """For each output: which elements (by byte, whole elements) a range writes."""
    regions = [memory.region(output) for output in task.outputs]
    found: list[list[Array]] = [[] for _ in task.outputs]
    for byte in FILLS:
        _clear(task, memory, byte)
        inputs = [_all_but_outputs(task, memory, tensor) for tensor in task.inputs]
        others = [memory.buffer(o).data[~r] for o, r in zip(task.outputs, regions, strict=True)]
        _call(task, function, memory, part)
        for old, tensor in zip(inputs, task.inputs, strict=True):
            now = _all_but_outputs(task, memory, tensor)
            assert np.array_equal(old, now), f"{task.name}: writes to its inputs or beside them"
        for images, output, region, other in zip(found, task.outputs, regions, others, strict=True):
            buffer = memory.buffer(output)
            assert buffer.guards_hold(byte), f"{task.name}: writes out of bounds"
            assert (buffer.data[~region] == other).all(), f"{task.name}: writes beside its slice"
            images.append(buffer.data[region])
    dtypes = [memory.graph.tensors[output].dtype for output in task.outputs]
    return [written_elements(images, dtype) for images, dtype in zip(found, dtypes, strict=True)]


def _all_but_outputs(task: Task, memory: _Memory, tensor: int) -> Array:
    """The buffer of an input with its guards; where an output is a slice of it, without that."""
    whole = memory.buffer(tensor).whole.copy()
    for output in task.outputs:
        if memory.buffer(output) is memory.buffer(tensor):
            whole[_GUARD_BYTES : whole.size - _GUARD_BYTES][memory.region(output)] = 0
    return whole


def written_elements(images: Sequence[Array], dtype: str) -> npt.NDArray[np.bool_]:
    """Which elements of a buffer, filled with each of `FILLS` in turn, have been written."""
    kept = np.ones(images[0].size, bool)
    for image, fill in zip(images, FILLS, strict=True):
        kept &= image == fill
    return np.asarray(~kept.reshape(-1, np.dtype(dtype).itemsize).all(axis=1))


def _run_parts(
    task: Task, function: Callable[..., Any], memory: _Memory, parts: Sequence[Range]
) -> list[Array]:
    _clear(task, memory, FILLS[0])
    for part in parts:
        with _poisoned(task, memory, part):
            _call(task, function, memory, part)
    return [memory.buffer(output).data[memory.region(output)] for output in task.outputs]


@contextmanager
def _poisoned(task: Task, memory: _Memory, part: Range) -> Iterator[None]:
    """Bytes of float inputs that no tile of the part is said to touch become NaN meanwhile, and
    those round a slice."""
    saved = []
    for position, tensor in enumerate(task.inputs):
        kind, span = memory.graph.tensors[tensor], task.span_of(position)
        if not kind.dtype.startswith("float") or (span is None and not kind.pitch_bytes):
            continue
        data = memory.buffer(tensor).data
        if any(memory.buffer(other) is memory.buffer(tensor) for other in _others(task, position)):
            continue
        saved.append((data, data.copy()))
        read = np.flatnonzero(memory.region(tensor))
        if span is not None:
            touched = span.of_tiles(part.row_begin, part.row_end)
            read = read[touched.start : touched.stop]
        kept = data[read]
        data[:] = FILLS[0]
        data[read] = kept
    yield
    for data, old in saved:
        data[:] = old


def _others(task: Task, position: int) -> list[int]:
    """The task's tensors but for one input."""
    return [*task.inputs[:position], *task.inputs[position + 1 :], *task.outputs]


def _check_spans(
    task: Task, memory: _Memory, part: Range, masks: Sequence[npt.NDArray[np.bool_]]
) -> None:
    """What a part writes lies where its tiles are said to write; masks are by elements."""
    for place, (output, mask) in enumerate(zip(task.outputs, masks, strict=True)):
        span = task.span_of(len(task.inputs) + place)
        if span is None or not mask.any():
            continue
        item = np.dtype(memory.graph.tensors[output].dtype).itemsize
        written, touched = np.flatnonzero(mask), span.of_tiles(part.row_begin, part.row_end)
        inside = touched.start <= written[0] * item and written[-1] * item < touched.stop
        assert inside, f"{task.name}: {part} writes beside {touched}"


def _clear(task: Task, memory: _Memory, byte: int) -> None:
    """Fill outputs and their guards; what else lies in their buffers stays."""
    for output in task.outputs:
        buffer, region = memory.buffer(output), memory.region(output)
        others = buffer.data[~region]
        buffer.fill(byte)
        buffer.data[~region] = others


def _call(task: Task, function: Callable[..., Any], memory: _Memory, part: Range) -> None:
    pointers = [ctypes.c_void_p(memory.address(tensor)) for tensor in (*task.inputs, *task.outputs)]
    function(*pointers, part.row_begin, part.row_end, part.channel_begin, part.channel_end)
