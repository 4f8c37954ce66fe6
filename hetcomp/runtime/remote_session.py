"""A model.so opened on a board, over TVM's RPC, to measure it where it will run. Needs TVM."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hetcomp.errors import InputError
from hetcomp.remote import Link, Remote, connect
from hetcomp.runtime._ffi_api import MODULE_FUNCTIONS, OPEN, ModuleApi
from hetcomp.runtime.image import Image, read_image
from hetcomp.runtime.session import Session
from hetcomp.runtime.tensors import check_names

__all__ = ["OpenedModel", "RemoteSession", "open_remote"]

_NAME = "model.so"
"""Of the file there; a board's session has a folder of its own."""
_SET_VARIABLE = "hetcomp.rpc.setenv"
_NOT_THERE = ("submit", "buffer")


@dataclass(frozen=True)
class OpenedModel:
    """A session, and the seconds that loading and opening the file took."""

    session: Session
    open_s: float


class RemoteSession(Session):
    """A session on a board. Inputs and outputs of `run` are sent; `submit` and `buffer` are not to
    be had. Closed without a word: the board ends a session with its connection."""

    def __init__(self, image: Image, api: ModuleApi, link: Link) -> None:
        super().__init__(image, api)
        self._link = link
        self._device = link.guarded(link.connection.device)("cpu", 0)

    def run(self, feeds: Mapping[str, Any], out: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One inference there; see `Session.run`."""
        results = self._results(out)
        inputs = self._feed_tensors(feeds)
        outputs = [self._sent(results[info.name]) for info in self.outputs]
        self._open_api().run(*inputs, *outputs)
        for info, tensor in zip(self.outputs, outputs, strict=True):
            results[info.name][...] = self._link.guarded(tensor.numpy)()
        return results

    def close(self) -> None:
        """Hang up. May be called twice."""
        if self._api is not None:
            self._api = None
            self._link.end()

    def _feed_tensors(self, feeds: Mapping[str, Any]) -> list[Any]:
        check_names((info.name for info in self.inputs), feeds)
        return [self._sent(np.asarray(feeds[info.name], info.dtype)) for info in self.inputs]

    def _sent(self, array: Any) -> Any:
        from tvm.runtime import tensor

        return self._link.guarded(tensor)(np.ascontiguousarray(array), self._device)


@contextmanager
def open_remote(
    path: Path, remote: Remote, variables: Mapping[str, str] | None = None, **options: Any
) -> Iterator[OpenedModel]:
    """Send a model.so to `remote` and open it there; at the end it is closed and removed.

    Parameters
    ----------
    path
        The file.
    remote
        Where to.
    variables
        Environment variables of the process that opens it.
    options
        As the runtime takes them (`runtime_patches/README.md`).

    Raises
    ------
    ArtifactError
        The file is missing, or is not one of ours; the board is not asked.
    LinkError
        The board does not answer, or the link drops.
    DeviceError
        The board refuses the file, or fails while it is used.
    InputError
        What listens there is no server of ours.
    """
    image = read_image(path)
    link = connect(remote)
    try:
        for name, value in (variables or {}).items():
            link.guarded(_function(link, _SET_VARIABLE))(name, value)
        link.guarded(link.connection.upload)(str(path), _NAME)
        begin = time.perf_counter()
        module = link.guarded(link.connection.load_module)(_NAME)
        opened = link.guarded(module[OPEN])(json.dumps({"quiet": True, **options}))
        open_s = time.perf_counter() - begin
        with RemoteSession(image, _api(link, opened), link) as session:
            yield OpenedModel(session, open_s)
    finally:
        link.end()


def _api(link: Link, opened: Any) -> ModuleApi:
    functions: dict[str, Callable[..., Any]] = {
        name: link.guarded(link.guarded(opened.__getitem__)(name)) for name in MODULE_FUNCTIONS
    }
    return ModuleApi(**{**functions, **{name: _refused(name) for name in _NOT_THERE}})


def _function(link: Link, name: str) -> Any:
    return link.guarded(link.connection.get_function)(name)


def _refused(name: str) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        raise InputError(f"'{name}' is not to be had over RPC")

    return call
