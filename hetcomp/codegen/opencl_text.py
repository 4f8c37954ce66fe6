"""TVM's OpenCL C, with a wrapper round each kernel that waits for the CPU and signals to it.

TVM's kernel becomes a function of its group's index, and the wrapper the kernel: so the order of
work-groups is ours, and so is what happens before and after. A group of one item runs several
tiles, as many as the runtime's number of groups leaves it: on a CPU device a group costs more than
a turn of a loop. Local memory may be declared in a kernel only, whence it moves from the function
to the wrapper.

Where all groups are of one item there is one kernel more, `hetcomp_chain`, which runs all steps of
an inference one after the other: for a device of one core, where every launch costs a microsecond.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hetcomp.errors import InternalError
from hetcomp.schedules.blocks.frame import FIRST_OF_ROW
from hetcomp.schedules.half_opencl import F16_BITS, FLOAT_OF_F16, HALF_OF_F16

from .opencl_bytes import BYTES_PROLOGUE
from .opencl_half import HALF_PROLOGUE

__all__ = ["Launch", "wrap"]

_KERNEL = re.compile(
    r"__kernel void (\w+)_kernel\(([^)]*)\) \{\n(.*?)^\}\n", re.DOTALL | re.MULTILINE
)
_PROTOTYPE = re.compile(r"^__kernel void \w+\([^)]*\);\n", re.MULTILINE)
"""TVM repeats the prototypes of all kernels in front of each."""
_LOCAL = re.compile(r"^ *__local (\w+) (\w+)\[(\d+)\];\n", re.MULTILINE)
_RANGES = ("r0", "r1", "c0", "c1")
_BYTES = re.compile(r"\bHETCOMP_(WORD|DOT|FLOATS)")
_HALF = re.compile(rf"\b({FLOAT_OF_F16}|{HALF_OF_F16}|{F16_BITS})\(")
_EXTENSION = re.compile(r"^#ifdef cl_khr_fp16\n.*?^#endif *\n", re.DOTALL | re.MULTILINE)
"""What TVM puts before kernels with float16: an error where the device has none."""
_FIRST_OF_ROW = re.compile(rf"\b{FIRST_OF_ROW}\(\)")
_VECTOR_BYTES = 64
"""Alignment of local memory that one work-item reads in vectors; the widest have 16 float32."""
_ELEMENT_BYTES = {
    **{"char": 1, "uchar": 1, "short": 2, "ushort": 2},
    # float16 is float32 where the device does not know it
    **{"half": 4, "int": 4, "uint": 4, "float": 4, "long": 8, "ulong": 8, "double": 8},
}
_LOAD_BYTES = 16
"""Alignment of local memory that a group's items read; each loads 4 float32 at most."""
_PROLOGUE = """\
// TVM copies a scalar condition, 0 or 1, into all lanes; select() looks at their highest bits.
#define hetcomp_select(a, b, c) select(a, b, (c) != 0)
"""


@dataclass(frozen=True)
class Launch:
    """How a kernel's work-groups are numbered, their items, and the kernel's index in the graph."""

    rows_inner: bool
    kernel: int = 0
    items: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class _Kernel:
    """One of TVM's kernels: parameters as printed, body, local memory as (type, name, size)."""

    parameters: tuple[str, ...]
    body: str
    local: tuple[tuple[str, str, int], ...]

    @property
    def arguments(self) -> dict[str, str]:
        """What the wrapper gives the function beside the parameters: by name, their types."""
        asked = {"first_of_row": "int"} if "first_of_row" in self.body else {}
        local = {name: f"__local {kind}*" for kind, name, _ in self.local}
        return {"g0": "int", "g1": "int", **asked, **local}


def wrap(source: str, launches: Mapping[str, Launch]) -> str:
    """TVM's kernels as functions, then the kernels of `launches`.

    Raises
    ------
    InternalError
        If a kernel is not in the text.
    """
    # Arguments of kernels must not point to bool.
    source = _EXTENSION.sub("", _PROTOTYPE.sub("", source))
    source = source.replace("__global bool*", "__global uchar*")
    source = re.sub(r"\b(select|v(?:load|store)\d+)\(", r"hetcomp_\1(", source)
    source = re.sub(r"get_group_id\(([01])\)", r"g\1", source)
    # Seven digits fall short of the lowest number, where every maximum starts.
    source = source.replace("3.402823e+38f", "FLT_MAX")
    source = source.replace("barrier(CLK_LOCAL_MEM_FENCE)", "HETCOMP_LOCAL_SYNC()")
    source = _FIRST_OF_ROW.sub("first_of_row", source)
    kernels = {match[1]: _kernel(match) for match in _KERNEL.finditer(source)}
    missing = set(launches) - set(kernels)
    if missing:
        raise InternalError(f"no OpenCL text for kernels {sorted(missing)}")

    def function(match: re.Match[str]) -> str:
        kernel = kernels[match[1]]
        own = [f"{kind} {name}" for name, kind in kernel.arguments.items()]
        head = ", ".join([*kernel.parameters, *own])
        return f"static inline void {match[1]}_body({head}) {{\n{kernel.body}}}\n"

    functions = _KERNEL.sub(function, source)
    wrappers = [_wrapper(s, kernels[s], launch) for s, launch in launches.items()]
    if all(launch.items == (1, 1) for launch in launches.values()):
        wrappers.append(_chain([(kernels[s], s, launch) for s, launch in launches.items()]))
    prologue = [_PROLOGUE]
    prologue += [BYTES_PROLOGUE] if _BYTES.search(source) else []
    prologue += [HALF_PROLOGUE] if _HALF.search(source) else []
    return "\n".join([*prologue, functions, *wrappers])


def _kernel(match: re.Match[str]) -> _Kernel:
    parameters = tuple(part.strip() for part in match[2].split(","))
    local = tuple((kind, name, int(size)) for kind, name, size in _LOCAL.findall(match[3]))
    return _Kernel(parameters, _LOCAL.sub("", match[3]), local)


def _wrapper(symbol: str, kernel: _Kernel, launch: Launch) -> str:
    head = ", ".join(
        [
            *_pointers(kernel.parameters),
            *(f"int {name}" for name in _RANGES),
            *("__global int* sync", "int wait", "int signal"),
            *("__global int* tickets", "int ticket", "int leave"),
        ]
    )
    if launch.items == (1, 1):
        own = ", ".join([*_names(kernel.parameters), *(name for _, name, _ in kernel.local)])
        return f"""{_tiles(symbol, kernel, launch)}
__kernel void {symbol}({head}) {{
{_arrays(kernel.local, _VECTOR_BYTES)}  if (!hetcomp_enter(sync, wait)) return;
{_shifts(kernel)}  int4 all = (int4)(r0, r1, c0, c1);
  for (int turn = 0; {_next("ticket", "leave")}; ++turn) {{
    int tiles = (r1 - r0) * (c1 - c0);
    int first = ticket == 0 ? hetcomp_share(tiles, 0) : 0;
    int last = ticket == 0 ? hetcomp_share(tiles, 1) : tiles;
    {symbol}_tiles({own}, first, last);
  }}
  hetcomp_leave(sync, signal);
}}
"""
    call = ", ".join([*_names(kernel.parameters), *kernel.arguments])
    g0, g1 = _order("group", launch.rows_inner)
    return f"""__attribute__((reqd_work_group_size({launch.items[0]}, {launch.items[1]}, 1)))
__kernel void {symbol}({head}) {{
{_arrays(kernel.local, _LOAD_BYTES)}  __local int go;
  if (HETCOMP_FIRST_ITEM) go = hetcomp_enter(sync, wait);
  HETCOMP_GROUP_SYNC();
{_shifts(kernel)}  int rows = get_num_groups(0), columns = get_num_groups(1);
  int group = get_group_id(1) * rows + get_group_id(0);
  int g0 = {g0}, g1 = {g1};
  for (int turn = go; turn > 0; --turn) {{
    {symbol}_body({call});
    HETCOMP_GROUP_SYNC();
  }}
  if (go && HETCOMP_FIRST_ITEM) hetcomp_leave(sync, signal);
}}
"""


def _tiles(symbol: str, kernel: _Kernel, launch: Launch) -> str:
    """A function that runs tiles [first, last) of the launch's ranges, in the kernel's order."""
    g0, g1 = _order("tile", launch.rows_inner)
    local = [f"__local {kind}* {name}" for kind, name, _ in kernel.local]
    head = ", ".join([*kernel.parameters, *local, "int first", "int last"])
    call = ", ".join([*_names(kernel.parameters), *kernel.arguments])
    return f"""static inline void {symbol}_tiles({head}) {{
  int rows = r1 - r0, columns = c1 - c0;
  for (int tile = first; tile < last; ++tile) {{
    int g0 = {g0}, g1 = {g1};
    int first_of_row = tile == first || g1 == 0;
    {symbol}_body({call});
  }}
}}"""


def _chain(kernels: list[tuple[_Kernel, str, Launch]]) -> str:
    """The kernel that runs a list of steps; `gpu_program.cc` writes their eleven integers."""
    scratch = max(_offsets(kernel)[-1] for kernel, _, _ in kernels)
    array = _arrays((("char", "scratch", scratch),), _VECTOR_BYTES) if scratch else ""
    cases = "".join(_case(kernel, symbol, launch) for kernel, symbol, launch in kernels)
    return f"""__kernel void hetcomp_chain(
    __global const int* steps, __global const ulong* pointers, int count, __global int* lines,
    __global int* sync, int wait, int gate, int rounds) {{
{array}  for (uint walk = 0; hetcomp_walk(sync, wait, gate, rounds, walk); ++walk) {{
    for (int number = 0; number < count; ++number) {{
      __global const int* step = steps + 11 * number;
      __global const ulong* b = pointers + step[1];
      __global int* tickets = lines + 32 * step[9];
      int r0, r1, c0, c1;
      int4 all = (int4)(step[2], step[3], step[4], step[5]);
      if (!hetcomp_enter(sync, step[6])) return;
      for (int turn = 0; {_next("step[8]", "step[10]")}; ++turn) {{
        int tiles = (r1 - r0) * (c1 - c0);
        switch (step[0]) {{
{cases}        }}
      }}
      hetcomp_leave(sync, step[7]);
    }}
  }}
}}
"""


def _next(ticket: str, leave: str) -> str:
    return f"hetcomp_next(tickets, {ticket}, {leave}, turn, all, &r0, &r1, &c0, &c1)"


def _case(kernel: _Kernel, symbol: str, launch: Launch) -> str:
    arguments = [_chain_argument(parameter) for parameter in kernel.parameters]
    offsets = _offsets(kernel)
    arguments += [
        f"(__local {kind}*)(scratch + {offset})"
        for (kind, _, _), offset in zip(kernel.local, offsets, strict=False)
    ]
    call = ", ".join([*arguments, "0", "tiles"])
    return f"          case {launch.kernel}: {symbol}_tiles({call}); break;\n"


def _chain_argument(parameter: str) -> str:
    kind, name = parameter.replace("restrict ", "").rsplit(maxsplit=1)
    return name if name in _RANGES else f"({kind})b[{_buffer(name)}]"


def _offsets(kernel: _Kernel) -> list[int]:
    """Where each local array begins in memory that all kernels share, and the end of the last."""
    offsets = [0]
    for kind, _, size in kernel.local:
        size_bytes = _ELEMENT_BYTES[kind] * size
        offsets.append(offsets[-1] + -(-size_bytes // _VECTOR_BYTES) * _VECTOR_BYTES)
    return offsets


def _arrays(local: tuple[tuple[str, str, int], ...], alignment: int) -> str:
    return "".join(
        f"  __local {kind} {name}[{size}] __attribute__((aligned({alignment})));\n"
        for kind, name, size in local
    )


def _order(index: str, rows_inner: bool) -> tuple[str, str]:
    """Position in the two ranges of the tile or group number `index`."""
    if rows_inner:
        return f"{index} % rows", f"{index} / rows"
    return f"{index} / columns", f"{index} % columns"


def _names(parameters: tuple[str, ...]) -> list[str]:
    return [parameter.split()[-1] for parameter in parameters]


def _shifts(kernel: _Kernel) -> str:
    """Moves pointers to where their tensors begin, on devices where all lie in one buffer."""
    names = [name for name in _names(kernel.parameters) if name not in _RANGES]
    return "".join(f"  HETCOMP_SHIFT({name}, {_buffer(name)});\n" for name in names)


def _buffer(name: str) -> int:
    return int(re.sub(r"\D", "", name))


def _pointers(parameters: tuple[str, ...]) -> list[str]:
    """Buffers in the order of their numbers; TVM leaves out what a kernel does not read."""
    buffers = {}
    for parameter in parameters:
        name = parameter.split()[-1]
        if name not in _RANGES:
            buffers[_buffer(name)] = parameter.replace("restrict ", "")
    count = max(buffers, default=-1) + 1
    return [buffers.get(i, f"__global char* b{i}_ptr") for i in range(count)]
