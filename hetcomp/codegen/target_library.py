"""A target's libraries: those of these very versions, out of their packages, kept per user.

A model.so is linked without libtvm_ffi.so too, against a stub; with it the linker sees missing
symbols. The device needs it beside the model.so. The server for boards needs libtvm_runtime.so too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import platformdirs

from hetcomp.errors import ToolchainError

__all__ = [
    "FETCHABLE",
    "LIBRARIES",
    "fetch_ffi_library",
    "fetch_runtime_library",
    "kept_ffi_folder",
]

_PLATFORMS = {"aarch64-linux-gnu": tuple(f"manylinux_2_{n}_aarch64" for n in (28, 27, 24))}
FETCHABLE = tuple(_PLATFORMS)
"""Triples that the package is published for."""
_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class _Package:
    """Where a library comes from, and the start of the name of its folder here."""

    name: str
    library: str
    kept_as: str

    @property
    def version(self) -> str:
        return version(self.name)


_FFI = _Package("apache-tvm-ffi", "libtvm_ffi.so", "tvm-ffi")
_RUNTIME = _Package("apache-tvm", "libtvm_runtime.so", "tvm")
LIBRARIES = (_FFI.library, _RUNTIME.library)
"""What a board's server needs."""


def kept_ffi_folder(triple: str) -> Path | None:
    """Folder of the target's library, if it was fetched."""
    folder = _folder(_FFI, triple)
    return folder if (folder / _FFI.library).is_file() else None


def fetch_ffi_library(triple: str) -> Path:
    """The target's libtvm_ffi.so, downloaded by pip where it is not there yet.

    Raises
    ------
    ToolchainError
        It is not published for the target, or pip fails.
    """
    return _fetched(_FFI, triple)


def fetch_runtime_library(triple: str) -> Path:
    """The same of libtvm_runtime.so, whose package has some 100 MB."""
    return _fetched(_RUNTIME, triple)


def _fetched(package: _Package, triple: str) -> Path:
    if triple not in _PLATFORMS:
        raise ToolchainError(
            f"{package.library} is not published for {triple} but for {', '.join(FETCHABLE)}; "
            "build it for that target and name its folder in $HETCOMP_TARGET_LIB"
        )
    final = _folder(package, triple) / package.library
    if final.is_file():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent) as name:
        unpacked = Path(name) / package.library
        unpacked.write_bytes(_member(_download(package, triple, Path(name)), package.library))
        unpacked.replace(final)
    return final


def _member(package: Path, name: str) -> bytes:
    """The file called `name`, in whichever folder of the package."""
    with zipfile.ZipFile(package) as wheel:
        found = [item for item in wheel.namelist() if item.endswith(f"/{name}")]
        if not found:
            raise ToolchainError(f"{package.name} holds no {name}; name a folder that has it")
        return wheel.read(found[0])


def _folder(package: _Package, triple: str) -> Path:
    cache = Path(platformdirs.user_cache_dir("hetcomp"))
    return cache / f"{package.kept_as}-{package.version}-{triple}"


def _download(package: _Package, triple: str, folder: Path) -> Path:
    """The package as a file in `folder`."""
    wanted = f"{package.name}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), wanted]
    # The library is the same for every Python.
    command += [
        "--implementation",
        "cp",
        "--python-version",
        "3.11",
        "--abi",
        "cp311",
        "--abi",
        "none",
    ]
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
        "$HETCOMP_TARGET_LIB or rpc-server --libraries may name a folder that has it"
    )
