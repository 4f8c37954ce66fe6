"""What a device needs of a compiled model, in one folder and without symbols."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from hetcomp.codegen.ffi_library import LIBRARY, small_ffi_library
from hetcomp.codegen.link import seal
from hetcomp.codegen.strip import find_strip
from hetcomp.codegen.target_library import fetch_ffi_library
from hetcomp.codegen.toolchain import Toolchain, find_toolchain, run_tool
from hetcomp.errors import InputError
from hetcomp.files import atomic_path
from hetcomp.runtime.elf import needed_libraries
from hetcomp.runtime.image import read_image

__all__ = ["Deployment", "deploy_model"]


@dataclass(frozen=True)
class Deployment:
    """Files for a device.

    Attributes
    ----------
    files
        To copy there, into one folder.
    system_libraries
        Names of those that the device's system has to bring.
    """

    files: tuple[Path, ...]
    system_libraries: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.stat().st_size for file in self.files)


def deploy_model(
    model: Path, folder: Path, *, published: bool = False, ndk: str = ""
) -> Deployment:
    """Put a stripped copy of a model, and the libtvm_ffi.so that it needs, into a folder.

    Parameters
    ----------
    model
        Compiled, for this machine or for another.
    folder
        Made if missing; files of the same names are replaced.
    published
        Take libtvm_ffi.so as TVM publishes it, for devices on which other programs use it too;
        else the small one of `hetcomp.codegen.ffi_library`.
    ndk
        Folder of Android's NDK, where the model is for Android; empty: $ANDROID_NDK_HOME.

    Raises
    ------
    ArtifactError
        `model` is not a compiled model.
    InputError
        `folder` is the one that `model` is in.
    ToolchainError
        The compiler for the target is missing or fails, or the library is not published for it.
    """
    if model.absolute().parent.resolve() == folder.absolute().resolve():
        raise InputError(f"'{folder}' is where '{model.name}' is: give another folder")
    tools = find_toolchain(_triple(model), ndk)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / model.name]
    with atomic_path(files[0]) as temporary:
        run_tool([str(find_strip(tools)), "-o", str(temporary), str(model)])
        seal(temporary)
    shutil.copymode(model, files[0])
    needed = needed_libraries(model)
    if LIBRARY in needed:
        files.append(folder / LIBRARY)
        with atomic_path(files[1]) as temporary:
            shutil.copyfile(_ffi_library(tools, published), temporary)
    return Deployment(tuple(files), tuple(name for name in needed if name != LIBRARY))


def _triple(model: Path) -> str | None:
    """Of the compiler that linked the model; None is the host's."""
    return str(read_image(model).build.get("triple", "")) or None


def _ffi_library(tools: Toolchain, published: bool) -> Path:
    if not published:
        return small_ffi_library(tools)
    if tools.triple is None and tools.ffi_library_folder is not None:
        return tools.ffi_library_folder / LIBRARY
    return fetch_ffi_library(str(tools.triple))
