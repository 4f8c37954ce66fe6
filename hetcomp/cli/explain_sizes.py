"""What the bytes of a compiled model are, and what a device needs beside it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hetcomp.cli.output import size_text
from hetcomp.runtime.sizes import FileSizes, file_sizes

if TYPE_CHECKING:
    from hetcomp.runtime.image import Image

__all__ = ["sizes_json", "sizes_text"]

_FFI = "libtvm_ffi.so"


def sizes_text(path: Path, image: Image) -> str:
    """Two lines."""
    sizes, library = file_sizes(path), _library_bytes(image)
    parts = [("weights", sizes.weights), ("CPU kernels", sizes.kernels)]
    parts += [
        ("OpenCL source", sizes.opencl_source),
        ("graph, plans and tables", sizes.description),
    ]
    parts += [("runtime", sizes.runtime), ("symbols", sizes.symbols)]
    bytes_of = ", ".join(f"{name} {size_text(n)}" for name, n in parts if n is not None)
    return (
        f"{size_text(sizes.total)}: {bytes_of}\n"
        f"to deploy: {size_text(sizes.stripped)} without symbols{_beside(sizes, library)}"
    )


def sizes_json(path: Path, image: Image) -> dict[str, Any]:
    """Bytes by part, and of libtvm_ffi.so where it is at hand, else null."""
    sizes = file_sizes(path)
    return {**asdict(sizes), "stripped": sizes.stripped, "libtvm_ffi": _library_bytes(image)}


def _beside(sizes: FileSizes, library: int | None) -> str:
    if _FFI not in sizes.libraries:
        return ""
    published = "" if library is None else f", {size_text(library)} as published"
    return f", and {_FFI}{published}; hetcomp deploy makes a smaller one"


def _library_bytes(image: Image) -> int | None:
    """Of the published libtvm_ffi.so for the model's machine, where it is on this one."""
    from tvm_ffi import libinfo

    from hetcomp.codegen.target_library import kept_ffi_folder

    triple = image.build.get("triple")
    if triple is None:
        return None
    folder = kept_ffi_folder(triple) if triple else Path(libinfo.find_libtvm_ffi()).parent
    return None if folder is None else (folder / _FFI).stat().st_size
