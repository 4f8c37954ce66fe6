"""A model.so opened on another machine, over TVM's RPC, to measure plans where they will run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hetcomp.errors import HetcompError, InputError
from hetcomp.remote import Remote
from hetcomp.runtime import Session
from hetcomp.runtime._ffi_api import MODULE_FUNCTIONS, OPEN, ModuleApi
from hetcomp.runtime.image import read_image

__all__ = ["open_remote"]

_SESSION_SECONDS = 600
"""After which a server ends a session by itself, whatever became of this side."""


@contextmanager
def open_remote(
    path: Path, remote: Remote, *, plan: str, pin: str, npu: str = "auto"
) -> Iterator[Session]:
    """Upload and open a model.so on `remote`; it is closed and removed there at the end.

    The session times and changes tables as a local one does; `Session.run` wants tensors of the
    other machine and is not for it.

    Raises
    ------
    InputError
        The server cannot be reached, refuses the file, or fails while it is used.
    """
    options = {"plan": plan, "pin": pin, "npu": npu, "quiet": True}
    try:
        connection = _connect(remote)
        connection.upload(str(path))
        opened = connection.load_module(path.name)[OPEN](json.dumps(options))
        api = ModuleApi(**{name: opened[name] for name in MODULE_FUNCTIONS})
        with Session(read_image(path), api) as session:
            yield session
        connection.remove(path.name)
    except HetcompError:
        raise
    except (OSError, RuntimeError) as error:
        where = f"{remote.host}:{remote.port}"
        raise InputError(
            f"measuring on {where} failed: {str(error).strip().splitlines()[-1]}; is a TVM RPC "
            "server running there (python -m tvm.exec.rpc_server), on a machine of this kind?"
        ) from error


def _connect(remote: Remote) -> Any:
    from tvm import rpc

    if remote.key:
        tracker = rpc.connect_tracker(remote.host, remote.port)
        return tracker.request(remote.key, session_timeout=_SESSION_SECONDS)
    return rpc.connect(remote.host, remote.port, session_timeout=_SESSION_SECONDS)
