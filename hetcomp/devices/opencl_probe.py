"""List OpenCL devices as JSON on stdout. Runs as a script of its own process.

A broken driver can crash or hang whoever calls it, so nobody imports this file; `opencl.py` runs
it by path, with a time limit. Only the standard library, so that it starts without a package.
Usage: `python opencl_probe.py LIBRARY...`: the first library that loads is used.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

_DEVICE_TYPE_ALL = 0xFFFFFFFF
_NOT_FOUND = (-1, -1001)
"""CL_DEVICE_NOT_FOUND and CL_PLATFORM_NOT_FOUND_KHR."""

_PLATFORM_NAME = 0x0902
_TYPE = 0x1000
_NUMBERS = {
    "vendor_id": (0x1001, ctypes.c_uint32),
    "compute_units": (0x1002, ctypes.c_uint32),
    "max_group_items": (0x1004, ctypes.c_size_t),
    "vector_width": (0x100A, ctypes.c_uint32),
    "local_bytes": (0x1023, ctypes.c_uint64),
    "sub_group": (0x1067, ctypes.c_size_t),
    "memory_bytes": (0x101F, ctypes.c_uint64),
    "type": (_TYPE, ctypes.c_uint64),
    "max_sub_devices": (0x1043, ctypes.c_uint32),
    "svm": (0x1053, ctypes.c_uint64),
}
_TEXTS = {
    "name": 0x102B,
    "vendor": 0x102C,
    "driver": 0x102D,
    "version": 0x102F,
    "extensions": 0x1030,
    "c_version": 0x103D,
}
_PARTITION_PROPERTIES = 0x1044
_PARTITION_EQUALLY = 0x1086


class _ClError(Exception):
    """An OpenCL call failed."""


def _load(names: list[str]) -> ctypes.CDLL:
    errors = []
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            errors.append(str(error))
    raise _ClError("; ".join(errors))


def _handles(call: Any, *arguments: Any) -> list[ctypes.c_void_p]:
    count = ctypes.c_uint32()
    status = call(*arguments, 0, None, ctypes.byref(count))
    if status in _NOT_FOUND or (status == 0 and count.value == 0):
        return []
    if status != 0:
        raise _ClError(f"{call.__name__} failed with {status}")
    handles = (ctypes.c_void_p * count.value)()
    status = call(*arguments, count, handles, None)
    if status != 0:
        raise _ClError(f"{call.__name__} failed with {status}")
    return [ctypes.c_void_p(handle) for handle in handles]


def _bytes(call: Any, handle: ctypes.c_void_p, name: int) -> bytes:
    """The value of a query; empty where the device does not know it (OpenCL 1.x)."""
    size = ctypes.c_size_t()
    if call(handle, name, ctypes.c_size_t(0), None, ctypes.byref(size)) != 0 or not size.value:
        return b""
    buffer = ctypes.create_string_buffer(size.value)
    status = call(handle, name, size, buffer, None)
    return buffer.raw if status == 0 else b""


def _text(call: Any, handle: ctypes.c_void_p, name: int) -> str:
    return _bytes(call, handle, name).split(b"\0")[0].decode("utf-8", "replace").strip()


def _device(cl: ctypes.CDLL, platform: str, device: ctypes.c_void_p) -> dict[str, Any]:
    found: dict[str, Any] = {"platform": platform}
    for key, name in _TEXTS.items():
        found[key] = _text(cl.clGetDeviceInfo, device, name)
    for key, (name, kind) in _NUMBERS.items():
        raw = _bytes(cl.clGetDeviceInfo, device, name)
        size = ctypes.sizeof(kind)
        found[key] = int.from_bytes(raw[:size], sys.byteorder) if len(raw) >= size else 0
    raw = _bytes(cl.clGetDeviceInfo, device, _PARTITION_PROPERTIES)
    word = ctypes.sizeof(ctypes.c_void_p)
    parts = [int.from_bytes(raw[i : i + word], sys.byteorder) for i in range(0, len(raw), word)]
    if _PARTITION_EQUALLY not in parts:
        found["max_sub_devices"] = 0
    return found


def _probe(libraries: list[str]) -> dict[str, Any]:
    try:
        cl = _load(libraries)
    except _ClError as error:
        return {"library": False, "error": str(error), "devices": []}
    devices = []
    try:
        for platform in _handles(cl.clGetPlatformIDs):
            name = _text(cl.clGetPlatformInfo, platform, _PLATFORM_NAME)
            kinds = ctypes.c_uint64(_DEVICE_TYPE_ALL)
            for device in _handles(cl.clGetDeviceIDs, platform, kinds):
                devices.append(_device(cl, name, device))
    except (_ClError, AttributeError) as error:
        return {"library": True, "error": str(error), "devices": devices}
    return {"library": True, "error": "", "devices": devices}


if __name__ == "__main__":
    print(json.dumps(_probe(sys.argv[1:])), flush=True)
