"""Every name that crosses the FFI, once. `runtime_patches/src/module.cc` has the other list."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tvm_ffi

from hetcomp.errors import ArtifactError, DeviceError, InputError, InternalError
from hetcomp.runtime.library_path import loadable_path

__all__ = ["MODULE_FUNCTIONS", "OPEN", "ModuleApi", "from_numpy", "open_module"]

OPEN = "hetcomp_open"
MODULE_FUNCTIONS = (
    "describe",
    "status",
    "stats",
    "trace",
    "run",
    "profile",
    "time_task",
    "set_table",
    "use_plan",
)

# Kinds of error that the runtime raises, as exceptions of ours.
tvm_ffi.register_error("hetcomp.InputError", InputError)
tvm_ffi.register_error("hetcomp.DeviceError", DeviceError)
tvm_ffi.register_error("hetcomp.InternalError", InternalError)

# Zero-copy view of a writable, contiguous array.
from_numpy: Callable[[Any], Any] = tvm_ffi.from_dlpack


@dataclass(frozen=True)
class ModuleApi:
    """The functions of an opened model, one per name of `MODULE_FUNCTIONS`."""

    describe: Callable[[], str]
    status: Callable[[], str]
    stats: Callable[[], str]
    trace: Callable[[], str]
    run: Callable[..., None]
    profile: Callable[..., str]
    time_task: Callable[[int, str, int, int, int, int, int, int], str]
    set_table: Callable[[str], None]
    use_plan: Callable[[str], None]


def open_module(path: str | os.PathLike[str], options_json: str) -> ModuleApi:
    """Load a model.so and open it.

    Raises
    ------
    ArtifactError
        The file cannot be loaded or is no compiled model.
    InputError
        An option is wrong.
    """
    module = _open_function(path)(options_json)
    return ModuleApi(**{name: module[name] for name in MODULE_FUNCTIONS})


def _open_function(path: str | os.PathLike[str]) -> Callable[[str], Any]:
    with _loading(path), loadable_path(path) as file:
        # Not kept alive by tvm_ffi: model.so is linked nodelete, so its code stays anyway.
        library = tvm_ffi.load_module(os.fspath(file), keep_module_alive=False)
        function: Callable[[str], Any] = library[OPEN]
    return function


@contextlib.contextmanager
def _loading(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except (AttributeError, RuntimeError, OSError) as error:
        raise ArtifactError(f"cannot load {os.fspath(path)}: {error}") from error
