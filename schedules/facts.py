"""Facts of a processor that the kernel families depend on, each a named field with its source."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["GROUPS_PER_UNIT", "CpuFacts", "DeviceFacts", "GroupFacts", "OpenclCpuFacts"]

GROUPS_PER_UNIT = 2
"""Work-groups that a compute unit of a GPU needs to hide the latency of memory."""


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
    dot
        Instruction that multiplies groups of four bytes (see `hetcomp.schedules.int8.dot`), empty
        where there is none.
    scratch_bytes
        What a kernel may keep between its phases: the second-level cache. PoCL reports the same
        size as a work-group's local memory.
    f16
        Whether vectors of float16 convert to float32 and back by instructions (F16C, NEON).
    f16_products
        Whether it multiplies and adds float16 at twice the rate of float32 (AVX512-FP16, ARM's
        `asimdhp`).
    bf16_products
        Whether it multiplies pairs of bfloat16 and adds them in float32 (ARM's `bf16`).
    by_lane
        Whether a product takes a lane of a register for all lanes (ARM). What all lanes need is
        then loaded a vector at a time; else each load spreads one number.
    """

    name: str
    lanes: int
    vectors: int
    max_rows: int
    opencl: bool = False
    dot: str = ""
    scratch_bytes: int = 1 << 19
    f16: bool = False
    f16_products: bool = False
    bf16_products: bool = False
    by_lane: bool = False

    @property
    def tile_channels(self) -> int:
        """Channels of a full tile."""
        return self.lanes * self.vectors


@dataclass(frozen=True)
class GroupFacts:
    """What a kernel of OpenCL class `gpu` needs to know: work-items that share a tile.

    Attributes
    ----------
    items
        Work-items of the largest work-group (`CL_DEVICE_MAX_WORK_GROUP_SIZE`, at most 256: what
        the smallest GPUs grant a kernel that uses many registers).
    sub_group
        Items that run in step (`CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE`); work-groups are
        multiples of it where the tile allows.
    local_bytes
        Local memory of a work-group (`CL_DEVICE_LOCAL_MEM_SIZE`).
    compute_units
        `CL_DEVICE_MAX_COMPUTE_UNITS`: tiles shrink until each has two work-groups.
    vector
        float32 elements of one load: 128 bits, the widest that every GPU loads at once.
    accumulators
        float32 accumulators of one item. GPUs grant 64 registers an item at full occupancy.
    f16
        Whether kernels may multiply float16: the device does (`cl_khr_fp16`), and is allowed to.
    """

    items: int = 256
    sub_group: int = 32
    local_bytes: int = 32 << 10
    compute_units: int = 4
    vector: int = 4
    accumulators: int = 32
    f16: bool = False

    @property
    def device(self) -> DeviceFacts:
        """One item's register file, for the parts of a kernel that work-items do not share."""
        rows = self.accumulators // self.vector
        return DeviceFacts("opencl-gpu", lanes=self.vector, vectors=1, max_rows=rows, opencl=True)


class CpuFacts:
    """Facts by instruction set."""

    AVX512 = DeviceFacts(
        "avx512", lanes=16, vectors=2, max_rows=14, dot="vpmaddwd", scratch_bytes=1 << 20, f16=True
    )
    """32 registers of 512 bits: 14 x 2 accumulators + 2 weights + 1 broadcast = 31."""
    AVX512_VNNI = replace(AVX512, name="avx512-vnni", dot="vpdpbusd")
    """CPU feature `avx512_vnni`."""
    AVX512_FP16 = replace(AVX512_VNNI, name="avx512-fp16", f16_products=True)
    """CPU feature `avx512_fp16`."""
    AVX2 = DeviceFacts("avx2", lanes=8, vectors=2, max_rows=6, dot="vpmaddwd", f16=True)
    """16 registers of 256 bits: 6 x 2 accumulators + 2 weights + 1 broadcast = 15."""
    AVX2_VNNI = replace(AVX2, name="avx2-vnni", dot="vpdpbusd")
    """CPU feature `avx_vnni`."""
    SSE = DeviceFacts("sse", lanes=4, vectors=2, max_rows=6, dot="vpmaddwd")
    """16 registers of 128 bits."""
    NEON = DeviceFacts("neon", lanes=4, vectors=2, max_rows=8, dot="smull", f16=True, by_lane=True)
    """32 registers of 128 bits: 10 x 2 accumulators + 4 steps of 2 weights + left operands of some
    rows. What else a core has: `hetcomp.targets.arm_cores`."""


class OpenclCpuFacts:
    """Facts of OpenCL devices that are CPUs (PoCL, Intel's runtime), by their vector width."""

    AVX512 = DeviceFacts(
        "opencl-cpu-avx512", lanes=16, vectors=2, max_rows=14, opencl=True, scratch_bytes=1 << 20
    )
    AVX2 = DeviceFacts("opencl-cpu-avx2", lanes=8, vectors=2, max_rows=6, opencl=True)
    SSE = DeviceFacts("opencl-cpu-sse", lanes=4, vectors=2, max_rows=6, opencl=True)
    NEON = DeviceFacts("opencl-cpu-neon", lanes=4, vectors=2, max_rows=8, opencl=True)
