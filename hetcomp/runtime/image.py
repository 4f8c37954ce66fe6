"""Reads the data of a model.so from the file, without loading it: what `explain` shows."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetcomp.errors import ArtifactError
from hetcomp.plan.cpu_version import CpuVersion
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Plan
from hetcomp.plan.table import StepTable
from hetcomp.runtime.elf import read_elf
from hetcomp.runtime.image_header import HEADER_BYTES, image_section, read_header
from hetcomp.runtime.packed_text import unpack_text

__all__ = ["Image", "parse_description", "read_image"]


@dataclass(frozen=True)
class Image:
    """Description of a compiled model.

    Attributes
    ----------
    version
        Version of hetcomp that compiled it.
    target
        Target triple; empty where the compiler did not say.
    graph, plans, tables
        What was compiled; plans and tables correspond one to one and the first is the default.
    build
        Free-form record of the compilation.
    opencl_source
        Text of the OpenCL kernels.
    machine
        ELF machine number.
    versions
        Of the CPU kernels, the best first.
    cores
        CPUs that inferences are to run on; empty: any.
    """

    version: str
    target: str
    graph: TaskGraph
    plans: tuple[Plan, ...]
    tables: tuple[StepTable, ...]
    build: dict[str, Any]
    opencl_source: str = ""
    machine: int = 0
    versions: tuple[CpuVersion, ...] = (CpuVersion(),)
    cores: tuple[int, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Features, by Linux's names, that a CPU must have: those of the least version."""
        return self.versions[-1].needs


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read the description in a model.so without loading the library.

    Raises
    ------
    ArtifactError
        The file is missing, damaged, truncated or not a compiled model.

    Examples
    --------
    >>> read_image("model.so").graph.name  # doctest: +SKIP
    'resnet'
    """
    file = Path(path)
    elf = read_elf(file)
    section = image_section(file, elf)
    with file.open("rb") as stream:
        stream.seek(section.offset)
        header = read_header(file, stream.read(HEADER_BYTES), section.size)
        text = stream.read(header.json_size)
        source = stream.read(header.source_size)
    if zlib.crc32(source, zlib.crc32(text)) != header.text_crc:
        raise ArtifactError(f"{file} is damaged: the checksum of its description is wrong")
    return parse_description(file, text, unpack_text(source), elf.machine)


def parse_description(
    path: Path, text: str | bytes, opencl_source: str = "", machine: int = 0
) -> Image:
    """The image's JSON as data classes; raises ArtifactError where it does not fit."""
    try:
        data = json.loads(text)
        return Image(
            version=data["hetcomp"],
            target=data["target"],
            graph=TaskGraph.from_json(data["graph"]),
            plans=tuple(Plan.from_json(item) for item in data["plans"]),
            tables=tuple(StepTable.from_json(item) for item in data["tables"]),
            build=data["build"],
            opencl_source=opencl_source,
            machine=machine,
            versions=tuple(CpuVersion.from_json(item) for item in data["versions"]),
            cores=tuple(data["cores"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path}: its description does not fit this hetcomp: {error}"
        ) from error
