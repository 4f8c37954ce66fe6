"""What the bytes of a compiled model are: read from the file, which is not loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hetcomp.runtime.elf import needed_libraries, read_elf
from hetcomp.runtime.image import read_image
from hetcomp.runtime.image_header import HEADER_BYTES, image_section, read_header

__all__ = ["FileSizes", "file_sizes"]


@dataclass(frozen=True)
class FileSizes:
    """Bytes of a compiled model.

    Attributes
    ----------
    weights
        Constants as the kernels read them, packed and transformed.
    kernels
        The CPU's kernels; None in files of older versions.
    opencl_source
        Text of the OpenCL kernels, as it lies in the file.
    description
        Task graph, plans and step tables.
    runtime
        The rest of what is in memory, and padding.
    symbols
        Names for debuggers and profilers, which `hetcomp deploy` leaves out.
    total
        The file.
    libraries
        Names of the shared libraries that it asks for.
    """

    weights: int
    kernels: int | None
    opencl_source: int
    description: int
    runtime: int
    symbols: int
    total: int
    libraries: tuple[str, ...]

    @property
    def stripped(self) -> int:
        """The file without symbols."""
        return self.total - self.symbols


def file_sizes(path: Path) -> FileSizes:
    """Take a compiled model apart.

    Raises
    ------
    ArtifactError
        The file is missing, damaged or not a compiled model.
    """
    elf = read_elf(path)
    section = image_section(path, elf)
    with path.open("rb") as stream:
        stream.seek(section.offset)
        header = read_header(path, stream.read(HEADER_BYTES), section.size)
    kernels = read_image(path).build.get("kernel_bytes")
    total = path.stat().st_size
    symbols = sum(part.size for part in elf.sections.values() if not part.loaded)
    data = header.constants_size + header.source_size + header.json_size
    return FileSizes(
        weights=header.constants_size,
        kernels=kernels,
        opencl_source=header.source_size,
        description=header.json_size,
        runtime=total - symbols - data - (kernels or 0),
        symbols=symbols,
        total=total,
        libraries=needed_libraries(path),
    )
