"""Header of the image in a model.so, and the checksums by which damage is found before code runs.

`hetcomp.codegen.image` documents the layout; `runtime_patches/src/model/image.cc` reads it, too.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import astuple, dataclass
from pathlib import Path

from hetcomp.errors import ArtifactError
from hetcomp.runtime.elf import ElfFile, Section, read_elf

__all__ = [
    "HEADER_BYTES",
    "PAGE_BYTES",
    "SECTION",
    "Header",
    "check_code",
    "code_checksum",
    "image_section",
    "read_header",
]

SECTION = ".hetcomp_image"
PAGE_BYTES = 4096
_MAGIC = b"HETCOMP\0"
_VERSION = 6
_STRUCT = struct.Struct("<8sIIQQQQQQIII4x")
HEADER_BYTES = _STRUCT.size
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Header:
    """Sizes in bytes, offset from the header's beginning, and checksums, in the order of the file.

    Attributes
    ----------
    json_size, source_size, constants_offset, constants_size, total_size
        Extents of the description, the OpenCL source, the constants and the whole image.
    constants_sum
        `hetcomp.codegen.image.word_sum` of the constants.
    text_crc
        CRC-32 of description and source.
    code_crc
        CRC-32 of the file without the image; 0 until the file is linked.
    """

    json_size: int
    source_size: int
    constants_offset: int
    constants_size: int
    total_size: int
    constants_sum: int
    text_crc: int
    code_crc: int = 0

    def pack(self) -> bytes:
        """As it stands in the file, its own CRC-32 at the end."""
        fields = (_MAGIC, _VERSION, 0, *astuple(self))
        return _STRUCT.pack(*fields, zlib.crc32(_STRUCT.pack(*fields, 0)))


def read_header(path: Path, raw: bytes, available: int) -> Header:
    """Check a header that an image of `available` bytes begins with; raises ArtifactError."""
    if len(raw) < HEADER_BYTES or raw[:8] != _MAGIC:
        raise ArtifactError(f"{path} is damaged: its image has no header")
    _, version, _, *fields, _ = _STRUCT.unpack(raw)
    if version != _VERSION:
        raise ArtifactError(
            f"{path} has image format {version}, this hetcomp reads {_VERSION}: "
            "compile the model again"
        )
    header = Header(*fields)
    if header.pack() != raw:
        raise ArtifactError(f"{path} is damaged: its image's header fails its checksum")
    if header.total_size > available:
        raise ArtifactError(f"{path} is truncated: its image is incomplete")
    return header


def image_section(path: Path, elf: ElfFile) -> Section:
    """Where the image is; raises ArtifactError where there is none."""
    section = elf.sections.get(SECTION)
    if section is None:
        raise ArtifactError(f"{path} is not a compiled model: it has no section {SECTION}")
    return section


def check_code(path: str | os.PathLike[str]) -> None:
    """Compare all of a model.so but its image, that is what the loader runs, with its checksum.

    Raises
    ------
    ArtifactError
        The file is damaged, or not a compiled model.
    """
    file = Path(path)
    section = image_section(file, read_elf(file))
    with file.open("rb") as stream:
        stream.seek(section.offset)
        header = read_header(file, stream.read(HEADER_BYTES), section.size)
    if code_checksum(file) != header.code_crc:
        raise ArtifactError(f"{file} is damaged: its code fails its checksum; copy it again")


def code_checksum(path: Path) -> int:
    """CRC-32 of a model.so without its image."""
    section = image_section(path, read_elf(path))
    size = path.stat().st_size
    crc = 0
    with path.open("rb") as stream:
        for begin, end in ((0, section.offset), (section.offset + section.size, size)):
            stream.seek(begin)
            for at in range(begin, end, _CHUNK_BYTES):
                crc = zlib.crc32(stream.read(min(end - at, _CHUNK_BYTES)), crc)
    return crc
