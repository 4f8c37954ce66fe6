"""Facts of a processor that the kernel families depend on, each a named field with its source."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CpuFacts", "DeviceFacts", "OpenclCpuFacts"]


@dataclass(frozen=True)
class DeviceFacts:
    """What a register-tile kernel needs to know.

    Attributes
    ----------
    name
        Short name, part of the kernel's key.
    lanes
        float32 elements of one vector register.
    vectors
        Vector registers across a tile: the tile is `lanes * vectors` channels wide.
    max_rows
        Rows (pixels, tokens) of the largest tile whose accumulators, one weight row and one
        broadcast fit the register file.
    opencl
        Tiles become work-groups of one work-item instead of loop iterations.
    """

    name: str
    lanes: int
    vectors: int
    max_rows: int
    opencl: bool = False

    @property
    def tile_channels(self) -> int:
        """Channels of a full tile."""
        return self.lanes * self.vectors


class CpuFacts:
    """Facts by instruction set."""

    AVX512 = DeviceFacts("avx512", lanes=16, vectors=2, max_rows=14)
    """32 registers of 512 bits: 14 x 2 accumulators + 2 weights + 1 broadcast = 31."""
    AVX2 = DeviceFacts("avx2", lanes=8, vectors=2, max_rows=6)
    """16 registers of 256 bits: 6 x 2 accumulators + 2 weights + 1 broadcast = 15."""
    SSE = DeviceFacts("sse", lanes=4, vectors=2, max_rows=6)
    """16 registers of 128 bits."""
    NEON = DeviceFacts("neon", lanes=4, vectors=2, max_rows=12)
    """32 registers of 128 bits: 12 x 2 accumulators + 2 weights + broadcasts = 27."""


class OpenclCpuFacts:
    """Facts of OpenCL devices that are CPUs (PoCL, Intel's runtime), by their vector width."""

    AVX512 = DeviceFacts("opencl-cpu-avx512", lanes=16, vectors=2, max_rows=14, opencl=True)
    AVX2 = DeviceFacts("opencl-cpu-avx2", lanes=8, vectors=2, max_rows=6, opencl=True)
    SSE = DeviceFacts("opencl-cpu-sse", lanes=4, vectors=2, max_rows=6, opencl=True)
    NEON = DeviceFacts("opencl-cpu-neon", lanes=4, vectors=2, max_rows=12, opencl=True)
