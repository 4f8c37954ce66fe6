"""Runs OpenCL kernels in this process on plain memory, each launch alone and finished.

For tests of single kernels: their buffers lie between guards in ordinary memory, which drivers of
CPUs (PoCL, Intel) take as shared. The runtime's prologue is read from its source.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from hetcomp.codegen.kernels import opencl_source
from hetcomp.codegen.lowered_kernel import LoweredKernel
from hetcomp.plan.graph import Kernel
from hetcomp.schedules.facts import DeviceFacts

_PROLOGUE = Path(__file__).resolve().parents[2] / "runtime_patches/src/opencl/prologue.cc"
_ALL_DEVICES = c_uint64(0xFFFFFFFF)
_BUILD_LOG = 0x1183
_LOG_BYTES = 1 << 16


@functools.cache
def _library() -> ctypes.CDLL:
    cl = ctypes.CDLL(os.environ.get("HETCOMP_OPENCL_LIBRARY", "libOpenCL.so.1"))
    for name in ("CreateContext", "CreateCommandQueue", "CreateProgramWithSource", "CreateKernel"):
        getattr(cl, f"cl{name}").restype = c_void_p
    return cl


class _Device:
    """The first device of the first platform, with a context and a queue."""

    def __init__(self) -> None:
        cl = _library()
        platform, self.device = c_void_p(), c_void_p()
        _done(cl.clGetPlatformIDs(1, byref(platform), None))
        _done(cl.clGetDeviceIDs(platform, _ALL_DEVICES, 1, byref(self.device), None))
        status = c_int()
        self.context = c_void_p(
            cl.clCreateContext(None, 1, byref(self.device), None, None, byref(status))
        )
        _done(status.value)
        self.queue = c_void_p(
            cl.clCreateCommandQueue(self.context, self.device, c_uint64(0), byref(status))
        )
        _done(status.value)

    def build(self, source: str) -> c_void_p:
        cl, status = _library(), c_int()
        text = c_char_p(source.encode())
        program = c_void_p(
            cl.clCreateProgramWithSource(self.context, 1, byref(text), None, byref(status))
        )
        _done(status.value)
        if cl.clBuildProgram(program, 1, byref(self.device), b"-cl-std=CL1.2", None, None) != 0:
            log = ctypes.create_string_buffer(_LOG_BYTES)
            size = c_size_t(_LOG_BYTES)
            cl.clGetProgramBuildInfo(program, self.device, c_uint(_BUILD_LOG), size, log, None)
            raise AssertionError(log.value.decode())
        return program


@functools.cache
def _device() -> _Device:
    return _Device()


def compile_opencl(
    kernels: Sequence[LoweredKernel], records: Sequence[Kernel], facts: DeviceFacts
) -> Callable[[str], Callable[..., None]]:
    """OpenCL kernels by symbol; each takes pointers, then the four ends of the tile ranges."""
    prologue = _PROLOGUE.read_text().split('kPrologue = R"(')[1].split(')";')[0]
    source = f"#define HETCOMP_C11 0\n{prologue}\n{opencl_source(kernels, facts)}"
    program = _device().build(source)
    by_symbol: Mapping[str, Kernel] = {record.symbol: record for record in records}
    return lambda symbol: _launcher(program, by_symbol[symbol])


def _run_flag() -> int:
    """Where the runtime's gate says that the inference goes on."""
    found = re.search(r"#define HETCOMP_RUN (\d+)", _PROLOGUE.read_text())
    assert found is not None
    return int(found[1])


def _launcher(program: c_void_p, record: Kernel) -> Callable[..., None]:
    cl, status = _library(), c_int()
    kernel = c_void_p(cl.clCreateKernel(program, record.symbol.encode(), byref(status)))
    _done(status.value)
    sync = np.zeros(128, np.int32)
    sync[_run_flag()] = 1

    def launch(*arguments: Any) -> None:
        *pointers, r0, r1, c0, c1 = arguments
        if r0 == r1 or c0 == c1:
            return
        flags = c_void_p(sync.ctypes.data)
        wait = signal = ticket = leave = 0  # waits for nobody, and has its tiles to itself
        for place, value in enumerate(
            [*pointers, r0, r1, c0, c1, flags, wait, signal, flags, ticket, leave]
        ):
            if isinstance(value, c_void_p):
                _done(cl.clSetKernelArgSVMPointer(kernel, c_uint(place), value))
            else:
                _done(cl.clSetKernelArg(kernel, c_uint(place), c_size_t(4), byref(c_int(value))))
        _enqueue(kernel, record, (r1 - r0, c1 - c0))

    return launch


def _enqueue(kernel: c_void_p, record: Kernel, extents: tuple[int, int]) -> None:
    cl = _library()
    groups = [-(-extent // tiles) for extent, tiles in zip(extents, record.tiles, strict=True)]
    local = (c_size_t * 2)(*record.items)
    sizes = [n * items for n, items in zip(groups, record.items, strict=True)]
    queue = _device().queue
    whole = (c_size_t * 2)(*sizes)
    _done(cl.clEnqueueNDRangeKernel(queue, kernel, 2, None, whole, local, 0, None, None))
    _done(cl.clFinish(queue))


def _done(status: int) -> None:
    assert status == 0, f"OpenCL status {status}"
