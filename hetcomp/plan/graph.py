"""The task graph: what has to run, on which tensors, and how finely each task can be split.

This is the data that compiler, planner and runtime share. It knows nothing of TVM or OpenCL,
so that a plan can be made, read and replayed in a process without a compiler.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from hetcomp.cost.instruction_mix import InstructionMix
from hetcomp.cost.kernel_facts import KernelFacts

__all__ = [
    "FORMAT_VERSION",
    "Grid",
    "Kernel",
    "RowSpan",
    "Space",
    "Task",
    "TaskGraph",
    "Tensor",
]

FORMAT_VERSION = 4
_NOT_ASKED = "compiled without NPU programs"


class Space(str, Enum):
    """Where a tensor lives."""

    ARENA = "arena"
    CONSTANT = "constant"


@dataclass(frozen=True)
class Grid:
    """The tiles of one axis along which a kernel can be cut.

    Attributes
    ----------
    extent
        Number of tiles; a kernel takes any half-open range of them.
    ragged
        The last tile overlaps its predecessor, so a cut between these two would let two
        processors write the same elements.
    """

    extent: int
    ragged: bool = False

    def legal_cut(self, cut: int) -> int:
        """The legal cut nearest to `cut`: 0, `extent`, or a boundary no two tiles share."""
        cut = max(0, min(cut, self.extent))
        if self.ragged and cut == self.extent - 1:
            return self.extent if self.extent == 1 else cut - 1
        return cut


@dataclass(frozen=True)
class RowSpan:
    """Bytes of a tensor that row tiles touch: tile i `size` bytes from `begin + i * step` on.

    Of a slice, as if its rows lay side by side. What lies before 0 or behind the end is padding.
    """

    begin: int
    step: int
    size: int

    def of_tiles(self, first: int, end: int) -> range:
        """The bytes of tiles [first, end)."""
        begin = max(0, self.begin + first * self.step)
        return range(begin, max(begin, self.begin + (end - 1) * self.step + self.size))


@dataclass(frozen=True)
class Tensor:
    """One value of the graph.

    `size_bytes` is its dense size. `alias_of` names the tensor whose memory it shares: as a whole
    (a reshape), or where `pitch_bytes` is not 0 as a slice of its last axis, with rows that far
    apart: a part of a concatenation, or of what was split. `offset_bytes` is its place in the
    constants' block, or of a slice in the other tensor.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size_bytes: int
    space: Space
    alias_of: int | None = None
    offset_bytes: int = 0
    pitch_bytes: int = 0

    @property
    def row_bytes(self) -> int:
        """Bytes along the last axis."""
        return self.shape[-1] * self.size_bytes // math.prod(self.shape)


@dataclass(frozen=True)
class Kernel:
    """One compiled kernel; several tasks of equal shape share it.

    Attributes
    ----------
    symbol
        Name of the CPU function (`__tvm_ffi_<symbol>`) and of the OpenCL kernel.
    n_buffers
        Number of pointer arguments, inputs first.
    opencl
        Whether an OpenCL version exists; `why_no_opencl` says why not.
    key
        Hash of the generated code, under which measured times are cached.
    variant
        Algorithm within the task's kind: `direct`, or the name of one that was chosen instead.
    tuned
        What the data base given to compile did for it; empty where none was given.
    items
        Work-items of an OpenCL work-group in both directions.
    tiles
        Row and channel tiles of one work-group; the last of a range may have fewer.
    work_group
        What an OpenCL work-group does with its tiles.
    facts, mix
        Loops and tiles, and the instructions of a whole task, from which times are predicted.
    """

    symbol: str
    n_buffers: int
    opencl: bool
    why_no_opencl: str
    key: str
    variant: str = "direct"
    tuned: str = ""
    items: tuple[int, int] = (1, 1)
    tiles: tuple[int, int] = (1, 1)
    work_group: str = ""
    facts: KernelFacts = field(default_factory=KernelFacts)
    mix: InstructionMix = field(default_factory=InstructionMix)


@dataclass(frozen=True)
class Task:
    """One fused operator: an anchor with its epilogue, the unit that is priced, placed and split.

    Attributes
    ----------
    name
        Readable, unique.
    kind
        Anchor: `conv2d`, `depthwise`, `linear`, `matmul`, `attention`, `rowwise`, `elementwise`,
        `opaque`.
    kernel
        Index into `TaskGraph.kernels`.
    inputs, outputs
        Tensor indices in the order of the kernel's pointer arguments: inputs, then outputs.
    rows, channels
        Grids of the two ranges the kernel takes. `channels.extent == 1`: not splittable so.
    preferred_axis
        `rows` or `channels`, the axis a split should take.
    axis_reason
        Why that axis.
    flops, weight_bytes, activation_bytes
        Work and traffic of the whole task.
    heads
        Number of independent heads (batch of a matmul); cuts of rows at multiples of
        `rows.extent // heads` are cuts by heads. 0 where there are none.
    source
        Names of the ONNX nodes, where known.
    in_place
        Positions of inputs that the kernel reads only where it writes, right before that: its
        output may take the memory of one of them.
    row_spans
        For each input, then each output, what of it row tiles touch; None where that is not known
        or is all of it, and empty where nothing is known.
    npu
        Whether the file describes it to NPU drivers; `why_no_npu` says why not.
    npu_rows
        Rows of the output by which the NPU's part can be cut where it shares the task with the
        CPU; 0 where it cannot.
    npu_columns
        Columns of the output in a channel tile, where the NPU's part can be cut between these;
        else 0.
    """

    name: str
    kind: str
    kernel: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    rows: Grid
    channels: Grid
    preferred_axis: str
    axis_reason: str
    flops: int = 0
    weight_bytes: int = 0
    activation_bytes: int = 0
    heads: int = 0
    source: tuple[str, ...] = ()
    in_place: tuple[int, ...] = ()
    row_spans: tuple[RowSpan | None, ...] = ()
    npu: bool = False
    why_no_npu: str = _NOT_ASKED
    npu_rows: int = 0
    npu_columns: int = 0

    def span_of(self, position: int) -> RowSpan | None:
        """The span of an input, or of an output behind the inputs."""
        return self.row_spans[position] if self.row_spans else None


@dataclass(frozen=True)
class TaskGraph:
    """Tasks in execution order over tensors; `inputs`/`outputs` are (ONNX order) tensor indices."""

    name: str
    tensors: tuple[Tensor, ...]
    kernels: tuple[Kernel, ...]
    tasks: tuple[Task, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    constants_bytes: int

    def root(self, tensor: int) -> int:
        """The tensor whose memory `tensor` uses, aliases followed."""
        alias = self.tensors[tensor].alias_of
        return tensor if alias is None else self.root(alias)

    @property
    def asked_npu(self) -> bool:
        """Whether it was compiled with an NPU in mind, whatever that took."""
        return any(task.npu or task.why_no_npu != _NOT_ASKED for task in self.tasks)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> TaskGraph:
        """Inverse of `to_json`."""
        return TaskGraph(
            name=data["name"],
            tensors=tuple(_tensor(item) for item in data["tensors"]),
            kernels=tuple(_kernel(item) for item in data["kernels"]),
            tasks=tuple(_task(item) for item in data["tasks"]),
            inputs=tuple(data["inputs"]),
            outputs=tuple(data["outputs"]),
            constants_bytes=data["constants_bytes"],
        )


def _tensor(item: dict[str, Any]) -> Tensor:
    return Tensor(**{**item, "shape": tuple(item["shape"]), "space": Space(item["space"])})


def _kernel(item: dict[str, Any]) -> Kernel:
    pairs = {key: tuple(item[key]) for key in ("items", "tiles")}
    counts = {"facts": KernelFacts(**item["facts"]), "mix": InstructionMix(**item["mix"])}
    return Kernel(**{**item, **pairs, **counts})


def _task(item: dict[str, Any]) -> Task:
    fields = dict(item)
    for key in ("inputs", "outputs", "source", "in_place"):
        fields[key] = tuple(fields[key])
    for key in ("rows", "channels"):
        fields[key] = Grid(**fields[key])
    spans = (None if span is None else RowSpan(**span) for span in fields.get("row_spans", ()))
    fields["row_spans"] = tuple(spans)
    return Task(**fields)
