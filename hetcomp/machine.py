"""The machine that is measured: this one, or a board that is reached over RPC."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hetcomp.devices import DeviceInfo, describe_devices
from hetcomp.errors import InputError
from hetcomp.remote import Remote, held
from hetcomp.runtime import Session, load
from hetcomp.runtime.remote_session import OpenedModel, open_remote

__all__ = ["Machine"]

T = TypeVar("T")


@dataclass(frozen=True)
class Machine:
    """Where models are opened; None as `remote` is this machine.

    Examples
    --------
    >>> with Machine().open(Path("model.so"), plan="cpu") as session:  # doctest: +SKIP
    ...     session.status().device
    """

    remote: Remote | None = None

    @staticmethod
    def parse(rpc: str) -> Machine:
        """From `HOST:PORT[,KEY]`; the empty text is this machine."""
        return Machine(Remote.parse(rpc) if rpc else None)

    @contextmanager
    def open(self, path: Path, **options: Any) -> Iterator[Session]:
        """A model.so opened there, with options of `hetcomp.load`."""
        with self.opened(path, **options) as found:
            yield found.session

    @contextmanager
    def opened(
        self, path: Path, variables: Mapping[str, str] | None = None, **options: Any
    ) -> Iterator[OpenedModel]:
        """The same, with the time that it took; `variables` are of the board's environment."""
        if self.remote is not None:
            with open_remote(path, self.remote, variables, **options) as found:
                yield found
            return
        if variables:
            raise InputError("variables of the environment are for a board's process")
        begin = time.perf_counter()
        with load(path, quiet=True, **options) as session:
            yield OpenedModel(session, time.perf_counter() - begin)

    def devices(self) -> tuple[DeviceInfo, ...]:
        """Its processors."""
        return describe_devices(self.remote)

    def cores(self) -> int:
        """Cores that a process may use there."""
        if self.remote is None:
            return len(os.sched_getaffinity(0))
        cpu = next(device.cpu for device in self.devices() if device.cpu is not None)
        return len(cpu.usable_cores)

    def held(self, action: Callable[[], T], report: Callable[[str], None]) -> T:
        """What `action` returns, which keeps what it has measured and is called again each time
        that the link drops, once the board is back."""
        return action() if self.remote is None else held(action, self.remote, report)
