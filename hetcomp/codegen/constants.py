"""The constants' block: each array once, packed as its kernels want it, 128-byte aligned.

Packed arrays go to a temporary file as they are made, so that no more than one is in memory.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from hetcomp.schedules.scheduled import Packing

__all__ = ["ALIGNMENT", "ConstantEntry", "ConstantPool", "StoredArrays"]

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


class StoredArrays:
    """Arrays in a temporary file, in the order of their offsets; each is read when asked for."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._entries: list[ConstantEntry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Array:
        entry = self._entries[index]
        array = np.empty(entry.shape, entry.dtype)
        self._file.seek(entry.offset_bytes)
        self._file.readinto(_bytes(array))  # type: ignore[attr-defined]
        return array

    def at(self, offset_bytes: int) -> Array:
        """The array that begins there; an empty one is not found."""
        place = bisect_right(self._entries, offset_bytes, key=lambda entry: entry.offset_bytes)
        return self[place - 1]

    def __iter__(self) -> Iterator[Array]:
        return (self[index] for index in range(len(self)))

    def append(self, entry: ConstantEntry, array: Array) -> None:
        """Store `array`, which is dense, at the offset of `entry`."""
        self._file.seek(entry.offset_bytes)
        self._file.write(_bytes(array))
        self._entries.append(entry)


def _bytes(array: Array) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


class ConstantPool:
    """Collects constants; the same array under the same packing is stored once."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Any, ...], ConstantEntry] = {}
        self.arrays = StoredArrays()
        self._sources: list[Array] = []
        self.size_bytes = 0

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
        self.arrays.append(entry, stored)
        self.size_bytes += -(-stored.nbytes // ALIGNMENT) * ALIGNMENT
        return entry
