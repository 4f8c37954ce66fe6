"""A target's libtvm_ffi.so: the one of this very version, out of its package, kept per user.

A model.so is linked without it too, against a stub; with it the linker sees missing symbols. The
device needs it beside the model.so.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import platformdirs
import tvm_ffi

from hetcomp.errors import ToolchainError

__all__ = ["FETCHABLE", "fetch_ffi_library", "kept_ffi_folder"]

_LIBRARY = "libtvm_ffi.so"
_PLATFORMS = {"aarch64-linux-gnu": ("manylinux_2_28_aarch64", "manylinux_2_24_aarch64")}
FETCHABLE = tuple(_PLATFORMS)
"""Triples that the package is published for."""
_TIMEOUT_S = 300.0


def kept_ffi_folder(triple: str) -> Path | None:
    """Folder of the target's library, if it was fetched."""
    folder = _folder(triple)
    return folder if (folder / _LIBRARY).is_file() else None


def fetch_ffi_library(triple: str) -> Path:
    """The target's libtvm_ffi.so, downloaded by pip where it is not there yet.

    Raises
    ------
    ToolchainError
        It is not published for the target, or pip fails.
    """
    if triple not in _PLATFORMS:
        raise ToolchainError(
            f"libtvm_ffi is not published for {triple} but for {', '.join(FETCHABLE)}; build it "
            "for that target and name its folder in $HETCOMP_TARGET_LIB"
        )
    final = _folder(triple) / _LIBRARY
    if final.is_file():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent) as name:
        with zipfile.ZipFile(_download(triple, Path(name))) as wheel:
            member = next(item for item in wheel.namelist() if item.endswith(f"/{_LIBRARY}"))
            unpacked = Path(name) / _LIBRARY
            unpacked.write_bytes(wheel.read(member))
        unpacked.replace(final)
    return final


def _folder(triple: str) -> Path:
    cache = Path(platformdirs.user_cache_dir("hetcomp"))
    return cache / f"tvm-ffi-{tvm_ffi.__version__}-{triple}"


def _download(triple: str, folder: Path) -> Path:
    """The package as a file in `folder`."""
    wanted = f"apache-tvm-ffi=={tvm_ffi.__version__}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), wanted]
    # The library is the same for every Python.
    command += ["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"]
    for platform in _PLATFORMS[triple]:
        command += ["--platform", platform]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ToolchainError(f"pip did not download {wanted} in {_TIMEOUT_S:.0f} s") from error
    found = list(folder.glob("*.whl"))
    if done.returncode == 0 and found:
        return found[0]
    said = " ".join(done.stderr.split()[-60:])
    raise ToolchainError(
        f"pip cannot download {wanted} for {triple}: {said}; models can be linked without it, and "
        "$HETCOMP_TARGET_LIB may name a folder that has it"
    )
