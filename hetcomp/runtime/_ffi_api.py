"""Every name that crosses the FFI, once.

`module.cc` and `request_module.cc` in `runtime_patches/src` have the other lists.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tvm_ffi

from hetcomp.errors import ArtifactError, CancelledError, DeviceError, InputError, InternalError
from hetcomp.runtime.at_exit import counted
from hetcomp.runtime.library_path import loadable_path

__all__ = [
    "MODULE_FUNCTIONS",
    "OPEN",
    "REQUEST_FUNCTIONS",
    "ModuleApi",
    "RequestApi",
    "from_dlpack",
    "open_module",
    "submit",
]

OPEN = "hetcomp_open"
MODULE_FUNCTIONS = (
    "describe",
    "status",
    "stats",
    "trace",
    "run",
    "profile",
    "time_task",
    "latencies",
    "copies",
    "set_table",
    "use_plan",
    "submit",
    "buffer",
    "close",
)
REQUEST_FUNCTIONS = ("wait", "cancel")

# Kinds of error that the runtime raises, as exceptions of ours.
tvm_ffi.register_error("hetcomp.InputError", InputError)
tvm_ffi.register_error("hetcomp.DeviceError", DeviceError)
tvm_ffi.register_error("hetcomp.CancelledError", CancelledError)
tvm_ffi.register_error("hetcomp.InternalError", InternalError)

# Tensor that shares the memory of an object with `__dlpack__`.
from_dlpack: Callable[[Any], Any] = tvm_ffi.from_dlpack


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
    latencies: Callable[[int], str]
    copies: Callable[[int, int], str]
    set_table: Callable[[str], None]
    use_plan: Callable[[str], None]
    submit: Callable[..., Any]
    buffer: Callable[[str], Any]
    close: Callable[[], None]


@dataclass(frozen=True)
class RequestApi:
    """The functions of a request, one per name of `REQUEST_FUNCTIONS`."""

    wait: Callable[[float], bool]
    cancel: Callable[[], bool]


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
    return ModuleApi(**{name: counted(module[name]) for name in MODULE_FUNCTIONS})


def submit(api: ModuleApi, tensors: Sequence[Any]) -> RequestApi:
    """Ask for an inference over inputs and outputs; the request keeps them alive."""
    module = api.submit(*tensors)
    return RequestApi(**{name: counted(module[name]) for name in REQUEST_FUNCTIONS})


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
