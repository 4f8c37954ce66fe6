"""A process that keeps a processor busy, or draws frames. Run as a script: it needs only Python.

`background_process.py cpu CORE SECONDS` and `… opencl CORE SECONDS` keep a core, or an OpenCL
device, busy; `… frames CORE SECONDS BUSY_MS` is a client that wants a kernel of some BUSY_MS on the
device sixty times a second, and prints at the end how many came too late. CORE -1 does not pin.
Each prints `ready` once it works, and ends with its parent or when its time is over.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

_ALL_DEVICES = c_uint64(0xFFFFFFFF)
_PERIOD_S = 1.0 / 60.0
_SOURCE = b"""
__kernel void work(__global float* data, int turns) {
  float x = data[0];
  for (int turn = 0; turn < turns; ++turn) x = x * 0.999f + 1.0f;
  data[0] = x;
}
"""


class Device:
    """The first OpenCL device with a queue and a kernel that takes a time in proportion."""

    def __init__(self) -> None:
        cl = ctypes.CDLL(os.environ.get("HETCOMP_OPENCL_LIBRARY", "libOpenCL.so.1"))
        names = ("Context", "CommandQueue", "Buffer", "ProgramWithSource", "Kernel")
        for name in names:
            getattr(cl, f"clCreate{name}").restype = c_void_p
        self._cl = cl
        platform, device, status = c_void_p(), c_void_p(), c_int()
        _check(cl.clGetPlatformIDs(1, byref(platform), None))
        _check(cl.clGetDeviceIDs(platform, _ALL_DEVICES, 1, byref(device), None))
        context = c_void_p(cl.clCreateContext(None, 1, byref(device), None, None, byref(status)))
        _check(status.value)
        self._queue = c_void_p(cl.clCreateCommandQueue(context, device, c_uint64(0), byref(status)))
        _check(status.value)
        data = c_void_p(cl.clCreateBuffer(context, c_uint64(1), c_size_t(64), None, byref(status)))
        _check(status.value)
        text = c_char_p(_SOURCE)
        program = c_void_p(
            cl.clCreateProgramWithSource(context, c_uint(1), byref(text), None, byref(status))
        )
        _check(cl.clBuildProgram(program, 1, byref(device), b"", None, None))
        self._kernel = c_void_p(cl.clCreateKernel(program, b"work", byref(status)))
        _check(status.value)
        _check(cl.clSetKernelArg(self._kernel, c_uint(0), c_size_t(8), byref(data)))

    def run(self, turns: int) -> None:
        """Wait until the kernel has done so many turns."""
        _check(self._cl.clSetKernelArg(self._kernel, c_uint(1), c_size_t(4), byref(c_int(turns))))
        one = c_size_t(1)
        _check(
            self._cl.clEnqueueNDRangeKernel(
                self._queue, self._kernel, c_uint(1), None, byref(one), None, 0, None, None
            )
        )
        _check(self._cl.clFinish(self._queue))

    def turns_for(self, time_s: float) -> int:
        """How many turns take about so long on an idle device."""
        turns = 1 << 16
        self.run(turns)
        best_s = min(_timed(self.run, turns) for _ in range(5))
        return max(1, int(turns * time_s / best_s))


def main(kind: str, core: int, seconds: float, busy_ms: float = 2.0) -> None:
    """Work until the time is over or the parent is gone."""
    if core >= 0:
        os.sched_setaffinity(0, {core})
    parent, ends = os.getppid(), [0.0]

    def goes_on() -> bool:
        ends[0] = ends[0] or time.monotonic() + seconds  # when it is asked first: it works now
        return time.monotonic() < ends[0] and os.getppid() == parent

    if kind == "cpu":
        _ready()
        while goes_on():
            sum(range(10_000))
        return
    device = Device()
    if kind == "opencl":
        turns = device.turns_for(5e-3)
        _ready()
        while goes_on():
            device.run(turns)
        return
    _draw(device, busy_ms * 1e-3, goes_on)


def _draw(device: Device, busy_s: float, goes_on: Callable[[], bool]) -> None:
    """A frame is missed that is not there when the next one is due, and so are those due since."""
    turns = device.turns_for(busy_s)
    _ready()
    spent_ms: list[float] = []
    frames = 0
    due = time.monotonic()
    while goes_on():
        begin = due
        device.run(turns)
        now = time.monotonic()
        spent_ms.append((now - begin) * 1e3)
        while due <= now:
            due += _PERIOD_S
            frames += 1
        time.sleep(max(0.0, due - time.monotonic()))
    spent_ms.sort()
    found: dict[str, Any] = {
        "frames": frames,
        "missed": frames - len(spent_ms),
        "median_ms": spent_ms[len(spent_ms) // 2],
        "p99_ms": spent_ms[int(0.99 * (len(spent_ms) - 1))],
        "most_ms": spent_ms[-1],
    }
    print(json.dumps(found), flush=True)


def _timed(run: Callable[[int], None], turns: int) -> float:
    begin = time.perf_counter()
    run(turns)
    return time.perf_counter() - begin


def _ready() -> None:
    print("ready", flush=True)


def _check(status: int) -> None:
    if status != 0:
        raise RuntimeError(f"OpenCL status {status}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:]))
