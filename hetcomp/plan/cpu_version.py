"""Versions of a file's CPU kernels: one file may serve CPUs with other instructions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["CpuVersion"]


@dataclass(frozen=True)
class CpuVersion:
    """Kernels for the CPUs that have what they need.

    Attributes
    ----------
    name
        Of the CPU, for people.
    needs
        Features, by Linux's names, without which the CPU cannot execute the kernels.
    """

    name: str = ""
    needs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As in the image."""
        return {**asdict(self), "needs": list(self.needs)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> CpuVersion:
        """Inverse of `to_json`; another key is a `TypeError`."""
        return CpuVersion(**{**data, "needs": tuple(data["needs"])})
