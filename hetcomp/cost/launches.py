"""Launches as columns of numbers: what features and estimates are computed from, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetcomp.cost.instruction_mix import InstructionMix
from hetcomp.cost.kernel_facts import KernelFacts
from hetcomp.cost.work import KernelWork

__all__ = ["FACT_NAMES", "Array", "Launches"]

Array = NDArray[Any]
FACT_NAMES = (
    *(item.name for item in fields(KernelFacts)),
    *(item.name for item in fields(InstructionMix)),
    *("flops", "weight_bytes", "input_bytes", "output_bytes", "model_weight_bytes"),
    *("items", "group_rows", "group_channels"),
)
"""Names in `KernelWork.facts`: loops and tiles, instructions, the task's and its work-groups'."""
_PLACES = {name: place for place, name in enumerate(FACT_NAMES)}
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Launches:
    """n launches of kernels on one processor.

    Attributes
    ----------
    rows, channels, all_rows, all_channels
        As in `KernelWork`, shape (n,).
    facts
        Shape (n, len(FACT_NAMES)); 0 where a launch does not name one.
    variants
        Families, algorithms, and the size of an element where it is not that of a float32: models
        of one size say nothing of another one.
    """

    rows: Array
    channels: Array
    all_rows: Array
    all_channels: Array
    facts: Array
    variants: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def fact(self, name: str) -> Array:
        """One fact of every launch."""
        column: Array = self.facts[:, _PLACES[name]]
        return column

    @property
    def row_share(self) -> Array:
        """Part of the task's rows."""
        share: Array = self.rows / self.all_rows
        return share

    @property
    def channel_share(self) -> Array:
        """Part of the task's channels."""
        share: Array = self.channels / self.all_channels
        return share

    @staticmethod
    def of(works: Sequence[KernelWork]) -> Launches:
        """The columns of `works`."""
        grids = np.array(
            [(w.rows, w.channels, w.all_rows, w.all_channels) for w in works], np.float64
        ).reshape(-1, 4)
        facts = np.array(
            [[work.facts.get(name, 0.0) for name in FACT_NAMES] for work in works], np.float64
        ).reshape(-1, len(FACT_NAMES))
        rows, channels, all_rows, all_channels = grids.T
        variants = tuple(map(_variant, works))
        return Launches(rows, channels, all_rows, all_channels, facts, variants)

    def parts(self, which: Array, rows: Array, channels: Array) -> Launches:
        """Launches of `rows` by `channels` tiles of the tasks numbered `which`."""
        return Launches(
            rows=rows,
            channels=channels,
            all_rows=self.all_rows[which],
            all_channels=self.all_channels[which],
            facts=self.facts[which],
            variants=tuple(self.variants[index] for index in which),
        )


def _variant(work: KernelWork) -> str:
    size = int(work.facts.get("item_bytes", _FLOAT_BYTES))
    own = f"{work.family} {work.variant}"
    return own if size == _FLOAT_BYTES else f"{own}, {size} bytes"
