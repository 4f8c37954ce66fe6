"""The target's C++ compiler, and the C++ runtime compiled with it, cached per user.

The runtime's sources are compiled when first needed, for the host and for cross targets alike, and
kept under the user's cache folder by a hash of sources, flags and compiler.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import platformdirs
import tvm_ffi
from tvm_ffi import libinfo

import hetcomp
from hetcomp.errors import InternalError, ToolchainError

from .ndk import ANDROID_LINK_FLAGS, ndk_compiler
from .target_library import kept_ffi_folder

__all__ = [
    "Sources",
    "Toolchain",
    "compiled",
    "find_toolchain",
    "program_objects",
    "run_tool",
    "runtime_folder",
    "runtime_objects",
    "server_objects",
]

_COMPILE_FLAGS = (
    "-std=c++17",
    "-fPIC",
    "-pthread",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-ffunction-sections",  # so that the linker leaves out what nobody calls
    "-fdata-sections",
)
_LEFT_S = 86400.0
_STDERR_LINES = 20
_OF_SERVER = ("opencl_api",)
"""Objects of the runtime that the server for boards uses."""


@dataclass(frozen=True)
class Sources:
    """C++ files that are compiled alike.

    Attributes
    ----------
    name
        Of their folder in the cache, to which a hash is added.
    folder
        That paths begin with; debug information leaves it out.
    files
        What is compiled.
    flags
        For the compiler.
    read
        All files whose contents count, `files` and their headers.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    flags: tuple[str, ...]
    read: tuple[Path, ...]


@dataclass(frozen=True)
class Toolchain:
    """A C++ compiler driver and what it needs to link for its target.

    Attributes
    ----------
    cxx
        Command of the compiler driver.
    triple
        Target triple; None is the host.
    ffi_library_folder
        Folder of the target's libtvm_ffi.so; None links against a stub, so that a missing symbol
        shows up only on the target.
    link_flags
        What the platform wants of every library and program.
    """

    cxx: tuple[str, ...]
    triple: str | None = None
    ffi_library_folder: Path | None = None
    link_flags: tuple[str, ...] = ()

    @property
    def is_android(self) -> bool:
        """Whether the target's loader goes by the names that libraries have for themselves."""
        return self.triple is not None and "android" in self.triple


def find_toolchain(triple: str | None = None, ndk: str = "") -> Toolchain:
    """The compiler for a target.

    Parameters
    ----------
    triple
        None for the host: $CXX, else g++, c++ or clang++. Otherwise for instance
        `aarch64-linux-gnu`: `<triple>-g++` or `<triple>-clang++`; for Android the one of its NDK.
        A folder with the target's libtvm_ffi.so may be given in $HETCOMP_TARGET_LIB; else the one
        that `hetcomp targets --fetch` has downloaded is taken, else a stub.
    ndk
        Folder of Android's NDK; empty: $TVM_NDK_CC is its compiler, or $ANDROID_NDK_HOME the
        folder.

    Raises
    ------
    ToolchainError
        There is no such compiler.
    """
    if triple is None:
        names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "c++", "clang++"]
        return Toolchain(
            _first(names, "install one or set $CXX"), None, Path(libinfo.find_libtvm_ffi()).parent
        )
    given = os.environ.get("HETCOMP_TARGET_LIB")
    folder = Path(given) if given else kept_ffi_folder(triple)
    if "android" in triple:
        known = "" if ndk else os.environ.get("TVM_NDK_CC", "")
        names = [known or ndk_compiler(triple, ndk)]
        compiler = _first(names, "set $TVM_NDK_CC to the NDK's clang++")
        return Toolchain(compiler, triple, folder, ANDROID_LINK_FLAGS)
    short = triple.replace("-unknown-", "-")
    names = [f"{short}-g++", f"{short}-clang++", f"{triple}-g++", f"{triple}-clang++"]
    return Toolchain(
        _first(dict.fromkeys(names), f"on Debian: apt-get install g++-{short}"), triple, folder
    )


def runtime_folder() -> Path:
    """The folder with the runtime's `src` and `include`: in the wheel or in a checkout."""
    package = Path(hetcomp.__file__).parent
    for folder in (package / "runtime_patches", package.parent / "runtime_patches"):
        if (folder / "src/session/session.cc").is_file():
            return folder
    raise InternalError(f"the runtime's sources are missing near {package}: reinstall hetcomp")


def runtime_objects(toolchain: Toolchain | None = None) -> list[Path]:
    """The compiled runtime, from the cache or compiled now.

    Safe to call from several processes at once: each compiles into its own folder, and the first
    to finish gives its folder the final name.

    Raises
    ------
    ToolchainError
        The compiler is missing or fails.
    """
    return compiled(_sources("runtime", "src"), toolchain or find_toolchain())


def server_objects(toolchain: Toolchain) -> list[Path]:
    """The same of the server for boards, of which some come from the runtime."""
    shared = [path for path in runtime_objects(toolchain) if path.stem in _OF_SERVER]
    return [*compiled(_sources("rpc", "rpc"), toolchain), *shared]


def program_objects(toolchain: Toolchain) -> list[Path]:
    """The same of the command line of a model that is a program."""
    return compiled(_sources("program", "program"), toolchain)


def _sources(name: str, part: str) -> Sources:
    """Those in a folder beside the runtime's, `src` too."""
    folder = runtime_folder()
    read = [path for one in (part, "src", "include") for path in (folder / one).rglob("*.[hc]*")]
    files = sorted((folder / part).rglob("*.cc"))
    flags = ("-O2", "-Wall", "-I", str(folder / "include"), "-I", str(folder / "src"))
    return Sources(name, folder, tuple(files), flags, tuple(sorted(read)))


def compiled(sources: Sources, tools: Toolchain) -> list[Path]:
    """The objects of `sources`, from the cache or compiled now, as `runtime_objects`."""
    final = Path(platformdirs.user_cache_dir("hetcomp")) / (
        f"{sources.name}-{_fingerprint(tools, sources)}"
    )
    if not final.is_dir():
        _compile_into(tools, sources, final)
    return sorted(final.glob("*.o"))


def run_tool(command: Sequence[str]) -> str:
    """Run a compiler or linker and return its output.

    Raises
    ------
    ToolchainError
        With the command and the last lines of its output.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise ToolchainError(f"cannot run {command[0]}: {error}") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()[-_STDERR_LINES:]
        raise ToolchainError(
            f"exit status {done.returncode} of: {shlex.join(command)}\n" + "\n".join(lines)
        )
    return done.stdout


def _first(names: Iterable[str], advice: str) -> tuple[str, ...]:
    for name in names:
        command = shlex.split(name)
        if command and shutil.which(command[0]):
            return tuple(command)
    raise ToolchainError(f"no C++ compiler: tried {', '.join(names)}; {advice}")


def _include_flags() -> list[str]:
    includes = {libinfo.find_include_path(), libinfo.find_dlpack_include_path()}
    return [flag for path in sorted(includes) for flag in ("-isystem", path)]


@lru_cache(maxsize=8)
def _compiler_version(cxx: tuple[str, ...]) -> str:
    return run_tool([*cxx, "--version"])


def _fingerprint(tools: Toolchain, sources: Sources) -> str:
    digest = hashlib.sha256()
    command = [*tools.cxx, *_COMPILE_FLAGS, *sources.flags, _compiler_version(tools.cxx)]
    digest.update("\0".join(command).encode())
    digest.update(tvm_ffi.__version__.encode())
    for file in sources.read:
        digest.update(file.relative_to(sources.folder).as_posix().encode() + b"\0")
        digest.update(file.read_bytes())
    return digest.hexdigest()[:20]


def _remove_leftovers(folder: Path) -> None:
    """Folders of compilations that were killed, which nobody works in any more."""
    for left in folder.glob("building-*"):
        with contextlib.suppress(FileNotFoundError):  # somebody else is as fast
            if time.time() - left.stat().st_mtime > _LEFT_S:
                shutil.rmtree(left, ignore_errors=True)


def _compile_into(tools: Toolchain, sources: Sources, final: Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(final.parent)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix="building-") as name:
        built = Path(name) / "objects"
        built.mkdir()
        flags = [*_COMPILE_FLAGS, *sources.flags, f"-ffile-prefix-map={sources.folder}=."]

        def compile_one(source: Path) -> None:
            output = built / f"{source.stem}.o"
            command = [*tools.cxx, *flags, *_include_flags(), "-c", str(source), "-o", str(output)]
            run_tool(command)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(compile_one, sources.files))
        try:
            built.rename(final)
        except OSError:
            if not final.is_dir():  # else: another process was faster
                raise
