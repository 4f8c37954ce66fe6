"""A small model made by hand: kernels in C and in OpenCL C as the compiler would generate them.

Eight tasks over a 23 x 64 matrix with real dependencies across rows and across channels. Row tiles
are 2 rows high, so that the last one overlaps its neighbour (a ragged grid); channel tiles are 8
wide. Everything is integer-valued float32, so that results are equal to NumPy's bit for bit.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm_ffi import libinfo

from hetcomp.codegen.image import write_image
from hetcomp.codegen.link import link_model
from hetcomp.codegen.toolchain import Toolchain
from hetcomp.plan.cpu_version import CpuVersion
from hetcomp.plan.graph import Grid, Kernel, Space, Task, TaskGraph, Tensor
from hetcomp.plan.plan import Axis, Decision, Place, Plan
from hetcomp.plan.table import Step, StepTable

ROWS, CHANNELS = 23, 64
ROW_GRID = Grid(extent=12, ragged=True)
CHANNEL_GRID = Grid(extent=8)
POISON = 4096.0  # kernel `add` fails when its second input begins with this number

C_SOURCE = """
#include <tvm/ffi/c_api.h>
#include <stdint.h>
#define R 23
#define C 64
#define F(i) ((float*)args[i].v_ptr)
#define FOR_TILES(n) \\
  const int r0 = (int)args[n].v_int64, r1 = (int)args[n + 1].v_int64; \\
  const int c0 = (int)args[n + 2].v_int64, c1 = (int)args[n + 3].v_int64; \\
  if (count != n + 4 || args[0].type_index != kTVMFFIOpaquePtr) return -1; \\
  if (args[n].type_index != kTVMFFIInt) return -1; \\
  for (int tile = r0; tile < r1; ++tile) \\
    for (int r = (2 * tile > R - 2 ? R - 2 : 2 * tile), last = r + 2; r < last; ++r) \\
      for (int c = 8 * c0; c < 8 * c1; ++c)
#define KERNEL(name) \\
  int __tvm_ffi_##name(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* ret)

__attribute__((weak)) void* (*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = 0;
__attribute__((weak)) int (*__TVMBackendFreeWorkspace)(int, int, void*) = 0;

KERNEL(bias) { FOR_TILES(3) F(2)[r * C + c] = 2.0f * F(0)[r * C + c] + F(1)[c]; return 0; }
KERNEL(add) {
  if (F(1)[0] == 4096.0f) {
    const char* parts[] = {"poisoned ", "input"};
    TVMFFIErrorSetRaisedFromCStrParts("ValueError", parts, 2);
    return -1;
  }
  FOR_TILES(3) F(2)[r * C + c] = F(0)[r * C + c] + F(1)[r * C + c];
  return 0;
}
KERNEL(shift) { FOR_TILES(2) F(1)[r * C + c] = F(0)[(r + 1) % R * C + c] - F(0)[r * C + c];
                return 0; }
KERNEL(mixer) {
  float* row = (float*)__TVMBackendAllocWorkspace(1, 0, C * sizeof(float), 2, 32);
  if (row == 0) return -1;
  FOR_TILES(3) {
    row[c] = 0.0f;
    for (int k = 0; k < C; ++k) row[c] += F(0)[r * C + k] * F(1)[k * C + c];
    F(2)[r * C + c] = row[c] - 16.0f * (float)(int)(row[c] / 16.0f);
  }
  return __TVMBackendFreeWorkspace(1, 0, row);
}
"""

_CL_KERNEL = """
inline void {name}_body({buffers}, int c0, int c1, int r0, int r1) {{
  for (int tile = r0; tile < r1; ++tile)
    for (int r = (2 * tile > 21 ? 21 : 2 * tile), last = r + 2; r < last; ++r)
      for (int c = 8 * c0; c < 8 * c1; ++c) {{ {body} }}
}}
__kernel void {name}({buffers}, int r0, int r1, int c0, int c1, __global int* sync, int wait,
                     int signal, __global int* tickets, int ticket, int leave) {{
  if (!hetcomp_enter(sync, wait)) return;
  {shifts}
  int4 all = (int4)(r0, r1, c0, c1);
  for (int turn = 0; hetcomp_next(tickets, ticket, leave, turn, all, &r0, &r1, &c0, &c1); ++turn) {{
    int rows = r1 - r0, tiles = rows * (c1 - c0);
    int first = ticket == 0 ? hetcomp_share(tiles, 0) : 0;
    int last = ticket == 0 ? hetcomp_share(tiles, 1) : tiles;
    for (int tile = first; tile < last; ++tile) {{
      int r = r0 + tile % rows, c = c0 + tile / rows;
      {name}_body({names}, c, c + 1, r, r + 1);
    }}
  }}
  hetcomp_leave(sync, signal);
}}
"""

_CL_CHAIN = """
__kernel void hetcomp_chain(__global const int* steps, __global const ulong* pointers, int count,
                            __global int* lines, __global int* sync, int wait, int gate,
                            int rounds) {{
  for (uint walk = 0; hetcomp_walk(sync, wait, gate, rounds, walk); ++walk) {{
    for (int number = 0; number < count; ++number) {{
      __global const int* step = steps + 11 * number;
      __global const ulong* b = pointers + step[1];
      __global int* tickets = lines + 32 * step[9];
      int r0, r1, c0, c1;
      int4 all = (int4)(step[2], step[3], step[4], step[5]);
      if (!hetcomp_enter(sync, step[6])) return;
      for (int turn = 0;
           hetcomp_next(tickets, step[8], step[10], turn, all, &r0, &r1, &c0, &c1); ++turn) {{
        switch (step[0]) {{ {cases} }}
      }}
      hetcomp_leave(sync, step[7]);
    }}
  }}
}}
"""

_CL_BODIES = {
    "bias": (3, "b2[r * 64 + c] = 2.0f * b0[r * 64 + c] + b1[c];"),
    "add": (3, "b2[r * 64 + c] = b0[r * 64 + c] + b1[r * 64 + c];"),
    "shift": (2, "b1[r * 64 + c] = b0[(r + 1) % 23 * 64 + c] - b0[r * 64 + c];"),
    "mixer": (
        3,
        "float s = 0.0f; for (int k = 0; k < 64; ++k) s += b0[r * 64 + k] * b1[k * 64 + c]; "
        "b2[r * 64 + c] = s - 16.0f * (float)(int)(s / 16.0f);",
    ),
}


def opencl_source() -> str:
    """All kernels as OpenCL C in the compiler's form."""
    text = ""
    for name, (n, body) in _CL_BODIES.items():
        buffers = ", ".join(f"__global float* b{i}" for i in range(n))
        names = ", ".join(f"b{i}" for i in range(n))
        shifts = " ".join(f"HETCOMP_SHIFT(b{i}, {i});" for i in range(n))
        text += _CL_KERNEL.format(name=name, buffers=buffers, names=names, body=body, shifts=shifts)
    cases = "".join(
        f"case {i}: {name}_body({', '.join(f'(__global float*)b[{j}]' for j in range(n))}, "
        "c0, c1, r0, r1); break;\n"
        for i, (name, (n, _)) in enumerate(_CL_BODIES.items())
    )
    return text + _CL_CHAIN.format(cases=cases)


# Task: kernel, inputs, output. Tensors 0..7 hold x, y, bias, weights and so on: see `graph`.
_TASKS = (
    ("t0_bias", "bias", ("x", "b"), "h0"),
    ("t1_mix", "mixer", ("h0", "w"), "h1"),
    ("t2_shift", "shift", ("h1",), "h2"),
    ("t3_add", "add", ("h2", "h0"), "h3"),
    ("t4_mix", "mixer", ("h3", "w"), "h4"),
    ("t5_bias", "bias", ("h4", "b"), "h5"),
    ("t6_shift", "shift", ("h5",), "h6"),
    ("t7_add", "add", ("h6", "y"), "out"),
)


def graph() -> TaskGraph:
    """The task graph; `out2` is a second output that aliases `h3`."""
    size = ROWS * CHANNELS * 4
    names = ["x", "y", *(task[3] for task in _TASKS)]
    tensors = [Tensor(n, (ROWS, CHANNELS), "float32", size, Space.ARENA) for n in names]
    tensors.append(Tensor("b", (CHANNELS,), "float32", CHANNELS * 4, Space.CONSTANT))
    weights = (CHANNELS, CHANNELS)
    tensors.append(Tensor("w", weights, "float32", 16384, Space.CONSTANT, offset_bytes=256))
    flat = Tensor("out2", (ROWS * CHANNELS,), "float32", size, Space.ARENA, alias_of=5)
    tensors.append(flat)
    index = {tensor.name: i for i, tensor in enumerate(tensors)}
    kernels = tuple(Kernel(name, n, True, "", name) for name, (n, _) in _CL_BODIES.items())
    kernel_index = {kernel.symbol: i for i, kernel in enumerate(kernels)}
    tasks = tuple(
        Task(
            name=name,
            kind="elementwise",
            kernel=kernel_index[kernel],
            inputs=tuple(index[i] for i in inputs),
            outputs=(index[output],),
            rows=ROW_GRID,
            channels=CHANNEL_GRID,
            preferred_axis="rows",
            axis_reason="test",
        )
        for name, kernel, inputs, output in _TASKS
    )
    return TaskGraph(
        "standin",
        tuple(tensors),
        kernels,
        tasks,
        inputs=(index["x"], index["y"]),
        outputs=(index["out"], index["out2"]),
        constants_bytes=256 + 16384,
    )


def constants(seed: int = 7) -> list[NDArray[np.float32]]:
    """Data of `b` and `w`."""
    rng = np.random.default_rng(seed)
    b = rng.integers(-3, 4, CHANNELS).astype(np.float32)
    w = rng.integers(-2, 3, (CHANNELS, CHANNELS)).astype(np.float32)
    return [b, w]


def reference(x: NDArray[Any], y: NDArray[Any], seed: int = 7) -> dict[str, NDArray[Any]]:
    """What the model computes, by NumPy."""
    b, w = constants(seed)

    def mix(h: NDArray[Any]) -> NDArray[Any]:
        s = h @ w
        return (s - 16 * np.trunc(s / 16)).astype(np.float32)

    def shift(h: NDArray[Any]) -> NDArray[Any]:
        return np.roll(h, -1, axis=0) - h

    h0 = 2 * x + b
    h3 = shift(mix(h0)) + h0
    out = shift(2 * mix(h3) + b) + y
    return {"out": out, "out2": h3.reshape(-1)}


def feeds(seed: int) -> dict[str, NDArray[np.float32]]:
    """Random inputs."""
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(-8, 9, (ROWS, CHANNELS)).astype(np.float32) for _ in range(2))
    return {"x": x, "y": y}


@dataclass(frozen=True)
class Placing:
    """Where a task runs in a test's table: the CPU takes tiles [0, cut) of the axis.

    With `ticket` both processors take so many tiles of the axis at a time, and either leaves so
    many of the last ones to the other.
    """

    axis: Axis
    cut: int
    ticket: int = 0
    cpu_leaves: int = 0
    gpu_leaves: int = 0


ALL_CPU = Placing(Axis.ROWS, ROW_GRID.extent)
ALL_GPU = Placing(Axis.ROWS, 0)


def make_table(name: str, placings: Sequence[Placing], signal_all: bool = False) -> StepTable:
    """A step table with exactly the waits that the data need, and every tensor in its own place."""
    model = graph()
    steps: dict[str, list[Step]] = {"cpu": [], "gpu": []}
    done: list[dict[str, int]] = []  # per task: ordinal of its step on each processor
    for index, (task, placing) in enumerate(zip(model.tasks, placings, strict=True)):
        ordinals = {}
        for processor, other in (("cpu", "gpu"), ("gpu", "cpu")):
            step = _share(index, placing, processor)
            if step is None:
                continue
            needed = [_producer(model, i) for i in task.inputs]
            waits = [done[p].get(other, 0) for p in needed if p is not None]
            steps[processor].append(replace(step, wait=max(waits, default=0)))
            ordinals[processor] = len(steps[processor])
        done.append(ordinals)
    for processor, other in (("cpu", "gpu"), ("gpu", "cpu")):
        waited = {step.wait for step in steps[other]}
        steps[processor] = [
            replace(step, signal=signal_all or i + 1 in waited)
            for i, step in enumerate(steps[processor])
        ]
    if steps["gpu"]:
        steps["gpu"][-1] = replace(steps["gpu"][-1], signal=True)
    offsets = _offsets(model)
    arena = max(o + t.size_bytes for o, t in zip(offsets, model.tensors, strict=True)) + 128
    return StepTable(name, tuple(steps["cpu"]), tuple(steps["gpu"]), offsets, arena)


def _share(index: int, placing: Placing, processor: str) -> Step | None:
    rows, channels = (0, ROW_GRID.extent), (0, CHANNEL_GRID.extent)
    extent = rows[1] if placing.axis is Axis.ROWS else channels[1]
    part = (0, placing.cut) if processor == "cpu" else (placing.cut, extent)
    if placing.ticket:
        ticket = placing.ticket if placing.axis is Axis.ROWS else -placing.ticket
        leave = placing.cpu_leaves if processor == "cpu" else placing.gpu_leaves
        return Step(index, *rows, *channels, ticket=ticket, leave=leave, cut=placing.cut)
    if part[0] == part[1]:
        return None
    if placing.axis is Axis.ROWS:
        rows = part
    else:
        channels = part
    return Step(index, *rows, *channels)


def _producer(model: TaskGraph, tensor: int) -> int | None:
    return next((i for i, task in enumerate(model.tasks) if tensor in task.outputs), None)


def _offsets(model: TaskGraph) -> tuple[int, ...]:
    offsets: list[int] = []
    end = 0
    for tensor in model.tensors:
        if tensor.space is Space.CONSTANT:
            offsets.append(tensor.offset_bytes)
        elif tensor.alias_of is not None:
            offsets.append(offsets[tensor.alias_of])
        else:
            offsets.append(end)
            end += -(-tensor.size_bytes // 128) * 128
    return tuple(offsets)


def timed(table: StepTable, task_us: float = 4000.0) -> StepTable:
    """The same with predictions: what a task takes on either processor; tickets are halves."""

    def predicted_us(step: Step) -> float:
        return task_us * (0.5 if step.ticket else (step.row_end - step.row_begin) / ROW_GRID.extent)

    def step_times(steps: Sequence[Step]) -> tuple[Step, ...]:
        return tuple(replace(step, predicted_us=predicted_us(step)) for step in steps)

    return replace(table, cpu=step_times(table.cpu), gpu=step_times(table.gpu))


def tables() -> list[StepTable]:
    """The model's tables; the first is the default."""
    n = len(_TASKS)
    mixed = [Placing(Axis.ROWS, 6), Placing(Axis.CHANNELS, 3)] * (n // 2)
    return [
        make_table("rows", [Placing(Axis.ROWS, 6)] * n),
        make_table("channels", [Placing(Axis.CHANNELS, 4)] * n),
        make_table("mixed", mixed),
        make_table("gpu", [ALL_GPU] * n, signal_all=True),
        make_table("cpu", [ALL_CPU] * n),
    ]


def plan_of(table: StepTable) -> Plan:
    """A plan to go with a table; its decisions do not matter to the runtime."""
    return Plan(table.name, tuple(Decision(task[0], Place.SPLIT) for task in _TASKS))


def compile_c(source: str, folder: Path, name: str) -> Path:
    """Compile C text to an object."""
    file = folder / f"{name}.c"
    file.write_text(source)
    output = folder / f"{name}.o"
    include = libinfo.find_include_path()
    command = ["gcc", "-O2", "-fPIC", "-ffp-contract=off", "-I", include, "-c", str(file)]
    subprocess.run([*command, "-o", str(output)], check=True, timeout=120.0)
    return output


def own_symbols(model: TaskGraph) -> dict[str, tuple[str, ...]]:
    """The only version of each kernel."""
    return {kernel.symbol: (kernel.symbol,) for kernel in model.kernels}


def build(
    folder: Path,
    name: str = "model.so",
    *,
    seed: int = 7,
    model_tables: Sequence[StepTable] | None = None,
    edit_source: Callable[[str], str] = lambda text: text,
    edit_c: Callable[[str], str] = lambda text: text,
    edit_graph: Callable[[TaskGraph], TaskGraph] = lambda graph: graph,
    more_objects: Sequence[Path] = (),
    more_constants: Sequence[NDArray[Any]] = (),
    toolchain: Toolchain | None = None,
    cores: Sequence[int] = (),
    needs: Sequence[str] = (),
    npu: Mapping[str, Any] | None = None,
) -> Path:
    """Write image and kernels and link them to folder/name."""
    chosen = list(model_tables) if model_tables is not None else tables()
    model = edit_graph(graph())
    image = folder / "image.bin"
    plans = [plan_of(table) for table in chosen]
    source = edit_source(opencl_source())
    data = [*constants(seed), *more_constants]
    note = {"note": "stand-in"}
    versions = [CpuVersion("here", tuple(needs))]
    parts = {"versions": versions, "cores": cores, "npu": npu}
    write_image(image, model, plans, chosen, source, data, note, **parts)
    output = folder / name
    objects = [compile_c(edit_c(C_SOURCE), folder, "standin"), *more_objects]
    link_model(objects, own_symbols(model), image, output, toolchain=toolchain)
    image.unlink()
    return output
