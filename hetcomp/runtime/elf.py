"""Just enough of ELF to find a section and to refuse a damaged file before `dlopen` sees it.

The dynamic loader maps what the headers promise: with a truncated file the first touch of a
missing page kills the process. So every extent is checked against the file's size first.
"""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hetcomp.errors import ArtifactError

__all__ = ["ElfFile", "Section", "host_machine", "loaded_bytes", "needed_libraries", "read_elf"]

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_DYNAMIC = struct.Struct("<QQ")
_OBJECT, _EXECUTABLE, _SHARED_OBJECT = 1, 2, 3
_NO_BITS = 8
_LOADED = 2
_NEEDED = 1
_TABLES = (".dynamic", ".dynstr")
_MACHINES = {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183, "riscv64": 243}


@dataclass(frozen=True)
class Section:
    """Extent of one section in the file, in bytes, and whether programs have it in memory."""

    offset: int
    size: int
    loaded: bool = False


@dataclass(frozen=True)
class ElfFile:
    """A checked 64-bit little-endian file; `loaded_bytes` is what programs have in memory of it."""

    machine: int
    sections: dict[str, Section]
    loaded_bytes: int


def host_machine() -> int | None:
    """ELF machine number of this computer; None if unknown."""
    return _MACHINES.get(platform.machine().lower())


def read_elf(path: Path) -> ElfFile:
    """Read the headers of a library or program and check that the file holds all they promise.

    Raises
    ------
    ArtifactError
        The file is missing, is no 64-bit little-endian ELF library or program, or is truncated.
    """
    return _opened(path, (_SHARED_OBJECT, _EXECUTABLE))


def loaded_bytes(path: Path) -> int:
    """Bytes of code and data in an object file: what it adds to a library that it is linked into.

    Raises
    ------
    ArtifactError
        As `read_elf`, for an object file.
    """
    return _opened(path, (_OBJECT,)).loaded_bytes


def needed_libraries(path: Path) -> tuple[str, ...]:
    """Names of the shared libraries that a library or program asks the loader for.

    Raises
    ------
    ArtifactError
        As `read_elf`.
    """
    sections = read_elf(path).sections
    if ".dynamic" not in sections:
        return ()
    data = path.read_bytes()
    table, names = (data[s.offset : s.offset + s.size] for s in map(sections.get, _TABLES) if s)
    entries = _DYNAMIC.iter_unpack(table[: len(table) // _DYNAMIC.size * _DYNAMIC.size])
    return tuple(_name(names, value) for tag, value in entries if tag == _NEEDED)


def _opened(path: Path, kinds: tuple[int, ...]) -> ElfFile:
    try:
        with path.open("rb") as stream:
            return _read(stream, path.stat().st_size, path, kinds)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror or error}") from error


def _read(stream: BinaryIO, size: int, path: Path, kinds: tuple[int, ...]) -> ElfFile:
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size or header[:4] != b"\x7fELF":
        raise ArtifactError(f"{path} is not a compiled model: not an ELF file")
    if header[4:6] != b"\x02\x01":
        raise ArtifactError(f"{path} is not a compiled model: not a 64-bit little-endian ELF file")
    fields = _HEADER.unpack(header)
    kind, machine, program_at, sections_at = fields[1], fields[2], fields[5], fields[6]
    program_size, n_programs, section_size, n_sections, names_index = fields[9:14]
    entries = (program_size if n_programs else _PROGRAM.size, section_size)
    if kind not in kinds or entries != (_PROGRAM.size, _SECTION.size):
        raise ArtifactError(f"{path} is not a compiled model: neither a library nor a program")
    programs = [
        _PROGRAM.unpack(raw)
        for raw in _table(stream, size, path, program_at, program_size, n_programs)
    ]
    for program in programs:
        _check_extent(path, size, program[2], program[5])
    rows = [
        _SECTION.unpack(raw)
        for raw in _table(stream, size, path, sections_at, section_size, n_sections)
    ]
    for row in rows:
        if row[1] != _NO_BITS:
            _check_extent(path, size, row[4], row[5])
    if names_index >= len(rows):
        raise ArtifactError(f"{path} is damaged: no section names")
    stream.seek(rows[names_index][4])
    names = stream.read(rows[names_index][5])
    sections = {_name(names, row[0]): _section(row) for row in rows}
    # Sections of the same name are common in object files: all count.
    loaded = sum(row[5] for row in rows if row[2] & _LOADED and row[1] != _NO_BITS)
    return ElfFile(machine, sections, loaded)


def _section(row: tuple[int, ...]) -> Section:
    return Section(row[4], row[5], bool(row[2] & _LOADED))


def _table(
    stream: BinaryIO, size: int, path: Path, offset: int, entry: int, count: int
) -> list[bytes]:
    _check_extent(path, size, offset, entry * count)
    stream.seek(offset)
    data = stream.read(entry * count)
    return [data[i * entry : (i + 1) * entry] for i in range(count)]


def _check_extent(path: Path, size: int, offset: int, length: int) -> None:
    if offset + length > size:
        raise ArtifactError(
            f"{path} is truncated: {size} bytes, expected at least {offset + length}; "
            "compile or copy it again"
        )


def _name(names: bytes, start: int) -> str:
    return names[start : names.find(b"\0", start)].decode("latin-1")
