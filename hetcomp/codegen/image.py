r"""Writes the image: everything of a model.so that is data (description, OpenCL source, constants).

Layout, little-endian; `runtime_patches/src/image.cc` and `hetcomp.runtime.image` read it::

    0     magic "HETCOMP\0", u32 format, u32 flags
    16    u64 json_size, source_size, constants_offset, constants_size, total_size
    56    u32 CRC-32 of the JSON, u32 zero
    64    JSON, OpenCL source, zeros up to a page, constants
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
from hetcomp.plan.graph import FORMAT_VERSION, Space, TaskGraph, Tensor
from hetcomp.plan.plan import Plan
from hetcomp.plan.table import StepTable
from hetcomp.runtime.image import HEADER, MAGIC, PAGE_BYTES

__all__ = ["constant_tensors", "write_image"]

_ALIGNMENT = 128


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
        "graph": graph.to_json(),
        "plans": [plan.to_json() for plan in plans],
        "tables": [table.to_json() for table in tables],
        "build": dict(build_info),
    }
    text = json.dumps(description, separators=(",", ":"), allow_nan=False).encode()
    source = opencl_source.encode()
    constants_offset = _round_up(HEADER.size + len(text) + len(source), PAGE_BYTES)
    total = constants_offset + graph.constants_bytes
    header = HEADER.pack(
        *(MAGIC, FORMAT_VERSION, 0, len(text), len(source)),
        *(constants_offset, graph.constants_bytes, total, zlib.crc32(text), 0),
    )
    with path.open("wb") as stream:
        stream.write(header + text + source)
        _write_constants(stream, constants_offset, graph, constants)
        stream.truncate(total)


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
