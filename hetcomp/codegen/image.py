r"""Writes the image: everything of a model.so that is data (description, OpenCL source, constants).

Layout, little-endian; `runtime_patches/src/model/image.cc` and `hetcomp.runtime.image` read it::

    0     magic "HETCOMP\0", u32 format, u32 zero
    16    u64 json_size, source_size, constants_offset, constants_size, total_size
    56    u64 word_sum of the constants
    64    u32 CRC-32 of JSON and source, u32 CRC-32 of the linked file without the image
    72    u32 CRC-32 of this header with zero here, u32 zero
    80    JSON, packed OpenCL source, zeros up to a page, constants

A flipped bit anywhere is found: `hetcomp.load` checks the code before the dynamic loader sees the
file, the runtime checks the rest when the model is opened.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hetcomp._version import __version__
from hetcomp.errors import InternalError
from hetcomp.plan.cpu_version import CpuVersion
from hetcomp.plan.graph import FORMAT_VERSION, Space, TaskGraph, Tensor
from hetcomp.plan.plan import Plan
from hetcomp.plan.table import StepTable
from hetcomp.runtime.image_header import HEADER_BYTES, PAGE_BYTES, Header
from hetcomp.runtime.packed_text import pack_text

__all__ = ["constant_tensors", "word_sum", "write_image"]

_ALIGNMENT = 128
_WORD_BYTES = 8
_CHUNK_WORDS = 1 << 16


def write_image(
    path: Path,
    graph: TaskGraph,
    plans: Sequence[Plan],
    tables: Sequence[StepTable],
    opencl_source: str,
    constants: Iterable[NDArray[Any]],
    build_info: Mapping[str, Any],
    *,
    target: str = "",
    npu: Mapping[str, Any] | None = None,
    versions: Sequence[CpuVersion] = (CpuVersion(),),
    cores: Sequence[int] = (),
) -> None:
    """Write the image of a model to `path`.

    Parameters
    ----------
    path
        File to write; the caller removes it if this function raises.
    graph, plans, tables
        Plans and tables correspond one to one; the first is the default, one is named `cpu`.
    opencl_source
        Text of all OpenCL kernels; may be empty.
    constants
        One array per element of `constant_tensors(graph)`, in that order. Taken one by one, so a
        generator keeps memory low.
    build_info
        Free-form JSON data for `explain`.
    target
        Target triple, for `explain`.
    npu
        Operators for NPU drivers, see `hetcomp.npu.operators`; None: the file has none.
    versions
        Of the CPU kernels, the best first; a CPU that lacks something for each cannot open the
        model.
    cores
        CPUs that inferences are to run on, by Linux's numbers; empty: any.

    Raises
    ------
    InternalError
        Plans and tables do not correspond, or an array does not fit its tensor.
    OSError
        The file cannot be written.
    """
    _check_names(plans, tables)
    description = {
        "format": FORMAT_VERSION,
        "hetcomp": __version__,
        "target": target,
        "versions": [version.to_json() for version in versions],
        "cores": list(cores),
        "graph": graph.to_json(),
        "plans": [plan.to_json() for plan in plans],
        "tables": [table.to_json() for table in tables],
        "build": dict(build_info),
        "npu": None if npu is None else dict(npu),
    }
    text = json.dumps(description, separators=(",", ":"), allow_nan=False).encode()
    source = pack_text(opencl_source)
    constants_offset = _round_up(HEADER_BYTES + len(text) + len(source), PAGE_BYTES)
    total = constants_offset + graph.constants_bytes
    with path.open("w+b") as stream:
        _write_constants(stream, constants_offset, graph, constants)
        stream.truncate(total)
        stream.seek(constants_offset)
        header = Header(
            json_size=len(text),
            source_size=len(source),
            constants_offset=constants_offset,
            constants_size=graph.constants_bytes,
            total_size=total,
            constants_sum=word_sum(stream),
            text_crc=zlib.crc32(source, zlib.crc32(text)),
        )
        stream.seek(0)
        stream.write(header.pack() + text + source)


def word_sum(stream: BinaryIO) -> int:
    """Checksum of the rest of a stream: the sum of (w ^ w >> 32) * (2 i + 1) modulo 2^64.

    w are its little-endian 64-bit words, the last one filled up with zeros, i counts them. One
    multiplication a word is as fast as memory, and NumPy computes it as well as C++. It differs
    after any change within one word, and after any two flipped bits.
    """
    total, first = 0, 0
    while chunk := stream.read(_WORD_BYTES * _CHUNK_WORDS):
        words = np.frombuffer(chunk + bytes(-len(chunk) % _WORD_BYTES), "<u8")
        index = np.arange(first, first + len(words), dtype=np.uint64)
        terms = (words ^ (words >> np.uint64(32))) * (2 * index + np.uint64(1))
        total += int(np.add.reduce(terms, dtype=np.uint64))
        first += len(words)
    return total % (1 << 64)


def constant_tensors(graph: TaskGraph) -> tuple[Tensor, ...]:
    """The tensors whose data the image holds, in the order in which `write_image` takes them."""
    return tuple(t for t in graph.tensors if t.space is Space.CONSTANT and t.alias_of is None)


def _check_names(plans: Sequence[Plan], tables: Sequence[StepTable]) -> None:
    if not tables or [plan.name for plan in plans] != [table.name for table in tables]:
        raise InternalError("plans and step tables do not correspond")
    if not any(table.name == "cpu" and not table.gpu for table in tables):
        raise InternalError('no step table named "cpu" without GPU steps')


def _write_constants(
    stream: BinaryIO, start: int, graph: TaskGraph, constants: Iterable[NDArray[Any]]
) -> None:
    for tensor, array in zip(constant_tensors(graph), constants, strict=True):
        if array.nbytes != tensor.size_bytes:
            raise InternalError(
                f"constant {tensor.name}: {array.nbytes} bytes, expected {tensor.size_bytes}"
            )
        end = tensor.offset_bytes + tensor.size_bytes
        if tensor.offset_bytes % _ALIGNMENT or end > graph.constants_bytes:
            raise InternalError(f"constant {tensor.name}: offset {tensor.offset_bytes} is wrong")
        stream.seek(start + tensor.offset_bytes)
        stream.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
