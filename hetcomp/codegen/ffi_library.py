"""libtvm_ffi from the sources in its Python package, without what no compiled model uses.

The published library has 2.2 to 2.5 MB, for structural comparison, serialisation, reflection of
data classes and backtraces, among others. What is built here has a third of that, and can be built
for targets for which none is published, and into a program. Its ABI and its version are the same.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from tvm_ffi import libinfo

from hetcomp.codegen.toolchain import Sources, Toolchain, compiled, run_tool
from hetcomp.errors import ToolchainError

__all__ = ["LIBRARY", "PARTS", "ffi_objects", "small_ffi_library"]

LIBRARY = "libtvm_ffi.so"
PARTS = (
    "backtrace",
    "container",
    "custom_allocator",
    "dtype",
    "error",
    "function",
    "init_once",
    "object",
    "tensor",
    "extra/env_c_api",
    "extra/env_context",
    "extra/json_parser",
    "extra/json_writer",
    "extra/library_module",
    "extra/library_module_dynamic_lib",
    "extra/library_module_system_lib",
    "extra/module",
)
_FLAGS = (
    "-Os",
    "-DTVM_FFI_EXPORTS",
    "-DTVM_FFI_USE_EXTRA_CXX_API=1",
    "-DTVM_FFI_USE_LIBBACKTRACE=0",
    "-DTVM_FFI_BACKTRACE_ON_SEGFAULT=0",
)
_LINK = ("-shared", "-pthread", "-Wl,--gc-sections", "-Wl,-s", "-Wl,--as-needed")


def ffi_objects(tools: Toolchain) -> list[Path]:
    """What models use of tvm_ffi, compiled for a target, from the cache or now (half a minute).

    Raises
    ------
    ToolchainError
        The compiler fails, or the installed package has no sources.
    """
    headers = Path(libinfo.find_include_path())
    folder = headers.parent / "src" / "ffi"
    files = tuple(folder / f"{part}.cc" for part in PARTS)
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise ToolchainError(f"apache-tvm-ffi was installed without its sources: no {missing[0]}")
    return compiled(Sources("ffi", folder, files, _FLAGS, files), tools)


def small_ffi_library(tools: Toolchain) -> Path:
    """The shared library of `ffi_objects`, stripped; in the cache, by how it was linked."""
    objects = ffi_objects(tools)
    command = [*tools.cxx, *_LINK, *tools.link_flags, f"-Wl,-soname,{LIBRARY}"]
    digest = hashlib.sha256("\0".join(command).encode()).hexdigest()[:12]
    library = objects[0].parent / f"linked-{digest}" / LIBRARY
    if not library.is_file():
        library.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as name:
            linked = Path(name) / LIBRARY
            run_tool([*command, *map(str, objects), "-ldl", "-o", str(linked)])
            linked.replace(library)
    return library
