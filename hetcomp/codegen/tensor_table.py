"""The tensors of a task graph: of the arena, parts and aliases of others, and constants."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hetcomp.plan.graph import Space, Tensor
from hetcomp.schedules.half import HalfFormat, Halves, is_large_weight
from hetcomp.schedules.scheduled import Packing

from .constants import ConstantPool

__all__ = ["TensorTable"]

Array = np.ndarray[Any, Any]


class TensorTable:
    """Tensors in the order in which they were met; methods return their indices.

    Parameters
    ----------
    half
        Format of float32 tensors that lie in 16 bits; None keeps all as they are.
    """

    def __init__(self, half: HalfFormat | None) -> None:
        self.tensors: list[Tensor] = []
        self.constants = ConstantPool()
        self._half = half
        self._halved: set[int] = set()

    def arena(self, name: str, shape: Sequence[int], dtype: str) -> int:
        """A tensor of its own memory."""
        return self._add(name, shape, dtype, Space.ARENA)

    def arena_half(self, name: str, shape: Sequence[int]) -> int:
        """The same in 16 bits."""
        assert self._half is not None
        tensor = self.arena(name, shape, self._half.memory)
        self._halved.add(tensor)
        return tensor

    def alias(self, name: str, shape: Sequence[int], source: int) -> int:
        """The tensor `source` in another shape."""
        kind = self.tensors[source]
        alias = self._add(name, shape, kind.dtype, kind.space, source, kind.offset_bytes)
        return self._as_in(source, alias)

    def slice(self, name: str, shape: Sequence[int], whole: int, first: int) -> int:
        """The channels from `first` on of the tensor `whole`."""
        outer = self.tensors[whole]
        item = np.dtype(outer.dtype).itemsize
        pitch = outer.pitch_bytes or outer.shape[-1] * item
        offset = outer.offset_bytes + first * item
        root = whole if outer.alias_of is None else outer.alias_of
        own = self._add(name, shape, outer.dtype, Space.ARENA, root, offset, pitch)
        return self._as_in(whole, own)

    def constant(self, array: Array, packing: Packing | None) -> int:
        """The constant tensor of `array` in some packing, stored once."""
        entry = self.constants.add(array, packing)
        if entry.tensor is None:
            name = f"constant{len(self.constants.arrays) - 1}"
            entry.tensor = self._add(
                name, entry.shape, entry.dtype, Space.CONSTANT, None, entry.offset_bytes
            )
        return entry.tensor

    def output(self, tensor: int, name: str, taken: Sequence[int]) -> int:
        """`tensor` under an output's name: itself; of a constant or one of `taken` an alias."""
        old = self.tensors[tensor]
        if old.space is Space.CONSTANT or tensor in taken:
            return self._add(name, old.shape, old.dtype, old.space, tensor, old.offset_bytes)
        self.tensors[tensor] = dataclasses.replace(old, name=name)
        return tensor

    def pitches(self, tensors: Mapping[int, int]) -> dict[int, int]:
        """Elements between rows of the slices among `tensors`, which are given by position."""
        kinds = {position: self.tensors[tensor] for position, tensor in tensors.items()}
        return {
            position: kind.pitch_bytes // np.dtype(kind.dtype).itemsize
            for position, kind in kinds.items()
            if kind.pitch_bytes
        }

    def halves(self, arrays: Sequence[Array | None], tensors: Mapping[int, int]) -> Halves:
        """Parameters in 16 bits: tensors are given by position, constants are `arrays`."""
        if self._half is None:
            return {}
        large = {i for i, a in enumerate(arrays) if a is not None and is_large_weight(a)}
        lying = {i for i, tensor in tensors.items() if tensor in self._halved}
        return dict.fromkeys(sorted(large | lying), self._half)

    def item_bytes(self, dtype: str) -> int:
        """Bytes of an element that may lie in 16 bits."""
        return 2 if self._half is not None and dtype == "float32" else np.dtype(dtype).itemsize

    def _as_in(self, source: int, tensor: int) -> int:
        """`tensor`, which has the format of `source`, whose memory it shares."""
        if source in self._halved:
            self._halved.add(tensor)
        return tensor

    def _add(
        self, name: str, shape: Sequence[int], dtype: str, space: Space,
        alias_of: int | None = None, offset_bytes: int = 0, pitch_bytes: int = 0,
    ) -> int:  # fmt: skip
        size = math.prod(shape) * np.dtype(dtype).itemsize
        place = (alias_of, offset_bytes, pitch_bytes)
        self.tensors.append(Tensor(name, tuple(shape), dtype, size, space, *place))
        return len(self.tensors) - 1
