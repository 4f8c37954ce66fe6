"""The constants' block: each array once, packed as its kernels want it, 128-byte aligned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hetcomp.schedules.scheduled import Packing

__all__ = ["ALIGNMENT", "ConstantEntry", "ConstantPool"]

ALIGNMENT = 128
"""Bytes; the largest alignment every OpenCL runtime seen gives shared memory."""

Array = np.ndarray[Any, Any]


@dataclass
class ConstantEntry:
    """One array of the block; `tensor` is its index in the graph once it has one."""

    shape: tuple[int, ...]
    dtype: str
    offset_bytes: int
    tensor: int | None = None


class ConstantPool:
    """Collects constants; the same array under the same packing is stored once."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Any, ...], ConstantEntry] = {}
        self._arrays: list[Array] = []
        self._sources: list[Array] = []
        self.size_bytes = 0

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The stored arrays in the order of their offsets."""
        return tuple(self._arrays)

    def add(self, array: Array, packing: Packing | None) -> ConstantEntry:
        """The entry of `array`, packed; made on first sight."""
        memory = (array.ctypes.data, array.shape, array.strides, str(array.dtype))
        key = (*memory, packing.key if packing else "")
        if key in self._entries:
            return self._entries[key]
        stored = np.ascontiguousarray(packing.apply(array) if packing else array)
        stored = stored.reshape(stored.shape if array.ndim or packing else ())
        entry = ConstantEntry(tuple(stored.shape), str(stored.dtype), self.size_bytes)
        self._entries[key] = entry
        self._sources.append(array)  # keeps the address in `key` from being used again
        self._arrays.append(stored)
        self.size_bytes += -(-stored.nbytes // ALIGNMENT) * ALIGNMENT
        return entry
