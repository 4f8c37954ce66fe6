"""Where a benchmark ran: processors and versions, so that its figures can be placed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from hetcomp._version import __version__
from hetcomp.devices import describe_devices
from hetcomp.remote import Remote

__all__ = ["Environment", "environment"]

_PACKAGES = {"tvm": "apache-tvm", "onnx": "onnx", "onnxruntime": "onnxruntime", "numpy": "numpy"}


@dataclass(frozen=True)
class Environment:
    """Machine and versions.

    Attributes
    ----------
    when
        UTC, ISO 8601.
    system
        Operating system and kernel.
    load
        Load average of the last minute when the benchmark began: a busy machine shows here.
    devices
        What was measured, as `hetcomp devices --json` gives it; OpenCL drivers with versions.
    board
        Where they are, as `--rpc` takes it; empty: here.
    versions
        hetcomp, Python and the packages that matter.
    """

    when: str
    system: str
    load: float
    devices: tuple[dict[str, Any], ...]
    versions: dict[str, str]
    board: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def environment(remote: Remote | None = None) -> Environment:
    """Describe this machine, or with the devices of a board; asks the OpenCL drivers, which takes
    some tenths of a second."""
    versions = {"hetcomp": __version__, "python": platform.python_version()}
    versions |= {name: importlib.metadata.version(package) for name, package in _PACKAGES.items()}
    return Environment(
        when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        system=platform.platform(),
        load=os.getloadavg()[0],
        devices=tuple(device.to_json() for device in describe_devices(remote)),
        versions=versions,
        board=remote.text if remote else "",
    )
