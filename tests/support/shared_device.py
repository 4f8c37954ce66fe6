"""Whether this process has given its OpenCL device up; tests after that would not test it."""

from __future__ import annotations

import ctypes

import tvm_ffi

_BROKER = "hetcomp.broker.v1"  # runtime_patches/src/opencl/broker_protocol.h
_QUEUE = b"opencl::0:0:1"  # QueueName in opencl_device.cc: default options on two cores
_FindQueue = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)


class _Broker(ctypes.Structure):
    """Head of `HetcompBroker`."""

    _fields_ = (
        ("protocol", ctypes.c_uint32),
        ("size_bytes", ctypes.c_uint32),
        ("find_queue", _FindQueue),
    )


class _SharedQueue(ctypes.Structure):
    """`HetcompSharedQueue`."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("turn", "device", "context", "queue", "user")),
        ("give_way", ctypes.c_void_p),
        ("bad", ctypes.c_int32),
    )


def given_up() -> bool:
    """True after a kernel or a driver call of this process timed out or failed."""
    broker = tvm_ffi.get_global_func(_BROKER, allow_missing=True)
    if broker is None:
        return False
    address = ctypes.cast(broker(), ctypes.c_void_p).value
    assert address is not None
    shared = _Broker.from_address(address).find_queue(_QUEUE)
    return bool(_SharedQueue.from_address(shared).bad)
