"""Builds `hetcomp_rpc`, the server that lets a board be measured from the desk."""

from __future__ import annotations

import shutil
from pathlib import Path

from hetcomp.codegen.target_library import (
    LIBRARIES,
    fetch_ffi_library,
    fetch_runtime_library,
)
from hetcomp.codegen.toolchain import find_toolchain, run_tool, server_objects
from hetcomp.errors import InputError
from hetcomp.files import atomic_path

__all__ = ["build_rpc_server"]

_NAME = "hetcomp_rpc"
_EXECUTABLE = 0o755
_LINK = (
    "-pthread",
    "-Wl,-rpath,$ORIGIN",  # the libraries lie beside it
    "-Wl,-z,noexecstack",
    "-Wl,--no-as-needed",  # libtvm_runtime registers its RPC where it is loaded; nobody names it
    "-l:libtvm_runtime.so",
    "-l:libtvm_ffi.so",
    "-ldl",
)


def build_rpc_server(
    folder: Path, libraries: Path | None = None, triple: str | None = None, ndk: str = ""
) -> tuple[Path, ...]:
    """Compile the server and put it into a folder with the libraries that it needs.

    Parameters
    ----------
    folder
        To copy to the board; made if missing.
    libraries
        Folder with libtvm_ffi.so and libtvm_runtime.so of the target, as they are in TVM's wheels;
        None takes those that this process uses, or downloads the target's, once.
    triple
        Target triple; None is the host.
    ndk
        Folder of Android's NDK, where `triple` is Android's; empty: $ANDROID_NDK_HOME.

    Returns
    -------
    tuple of Path
        The files in `folder`, the program first.

    Raises
    ------
    InputError
        A library is missing.
    ToolchainError
        The compiler is missing or fails, or TVM is not published for the target.
    """
    found = _libraries(libraries, triple)
    tools = find_toolchain(triple, ndk)
    objects = server_objects(tools)
    folder.mkdir(parents=True, exist_ok=True)
    program, copied = folder / _NAME, [_copied(library, folder) for library in found]
    with atomic_path(program) as temporary:  # the one that is there may be running
        command = [*tools.cxx, *tools.link_flags, *map(str, objects), "-L", str(folder), *_LINK]
        run_tool([*command, "-o", str(temporary)])
    program.chmod(_EXECUTABLE)
    return program, *copied


def _copied(library: Path, folder: Path) -> Path:
    copy = folder / library.name
    with atomic_path(copy) as temporary:
        shutil.copyfile(library, temporary)
    return copy


def _libraries(folder: Path | None, triple: str | None) -> list[Path]:
    if folder is None:
        if triple is None:
            return _own_libraries()
        return [fetch_ffi_library(triple), fetch_runtime_library(triple)]
    found = [next(iter(sorted(folder.rglob(name))), folder / name) for name in LIBRARIES]
    missing = [str(path) for path in found if not path.is_file()]
    if missing:
        raise InputError(f"missing: {', '.join(missing)}")
    return found


def _own_libraries() -> list[Path]:
    import tvm
    from tvm_ffi import libinfo

    folder = Path(tvm.__file__).parent / "lib"
    return [Path(libinfo.find_libtvm_ffi()), folder / LIBRARIES[1]]
