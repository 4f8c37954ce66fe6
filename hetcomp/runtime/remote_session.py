"""Models opened on a board, over TVM's RPC, to measure them where they will run. Needs TVM."""

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

__all__ = ["OpenedModel", "RemoteProcess", "RemoteSession", "open_remote", "remote_process"]

_SET_VARIABLE = "hetcomp.rpc.setenv"
_NOT_THERE = ("submit", "buffer")


@dataclass(frozen=True)
class OpenedModel:
    """A session, and the seconds that loading and opening the file took."""

    session: Session
    open_s: float


class RemoteSession(Session):
    """A session on a board. Inputs and outputs of `run` are sent; `submit` and `buffer` are not to
    be had."""

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
        """Forget it; what the board has of it ends with the connection. May be called twice."""
        self._api = None

    def _feed_tensors(self, feeds: Mapping[str, Any]) -> list[Any]:
        check_names((info.name for info in self.inputs), feeds)
        return [self._sent(np.asarray(feeds[info.name], info.dtype)) for info in self.inputs]

    def _sent(self, array: Any) -> Any:
        from tvm.runtime import tensor

        return self._link.guarded(tensor)(np.ascontiguousarray(array), self._device)


class RemoteProcess:
    """A process on a board, which ends with its connection: see `remote_process`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._names: dict[Path, str] = {}
        self._sessions: list[RemoteSession] = []

    def open(self, path: Path, **options: Any) -> OpenedModel:
        """Send a model.so, the first time, and open it; see `open_remote`."""
        image = read_image(path)
        name = self._sent(path)
        begin = time.perf_counter()
        module = self._link.guarded(self._link.connection.load_module)(name)
        opening = self._link.guarded(self._link.guarded(module.__getitem__)(OPEN))
        opened = opening(json.dumps({"quiet": True, **options}))
        open_s = time.perf_counter() - begin
        session = RemoteSession(image, _api(self._link, opened), self._link)
        self._sessions.append(session)
        return OpenedModel(session, open_s)

    def end(self) -> None:
        """Hang up, without a word to a board that may not answer, and close the sessions."""
        self._link.end()
        for session in self._sessions:
            session.close()

    def _sent(self, path: Path) -> str:
        """Name of the file there; the process has a folder of its own."""
        if path not in self._names:
            name = f"model{len(self._names) or ''}.so"
            self._link.guarded(self._link.connection.upload)(str(path), name)
            self._names[path] = name
        return self._names[path]


@contextmanager
def remote_process(
    remote: Remote, variables: Mapping[str, str] | None = None
) -> Iterator[RemoteProcess]:
    """A process on a board, in which several models may be opened; it ends with the context.

    Parameters
    ----------
    remote
        Where.
    variables
        Environment variables of the process.

    Raises
    ------
    LinkError
        The board does not answer, or the link drops.
    InputError
        What listens there is no server of ours.
    """
    link = connect(remote)
    process = RemoteProcess(link)
    try:
        for name, value in (variables or {}).items():
            link.guarded(_function(link, _SET_VARIABLE))(name, value)
        yield process
    finally:
        process.end()


@contextmanager
def open_remote(
    path: Path, remote: Remote, variables: Mapping[str, str] | None = None, **options: Any
) -> Iterator[OpenedModel]:
    """Send a model.so to `remote` and open it there; at the end it is closed and removed.

    Parameters
    ----------
    path
        The file.
    remote, variables
        As `remote_process` takes them.
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
    read_image(path)
    with remote_process(remote, variables) as process:
        yield process.open(path, **options)


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
