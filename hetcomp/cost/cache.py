"""Measured times, kept between compilations as lines of JSON.

A time is found again under the hash of the kernel's code, the extents of its grids, and the
fingerprint of the device. Lines that cannot be read and lines of other versions are skipped; where
the file cannot be written the times are just not kept. Of equal keys the last line counts.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs

__all__ = ["CACHE_VERSION", "TimeKey", "TimesCache"]

CACHE_VERSION = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TimeKey:
    """What was measured, where.

    Attributes
    ----------
    kernel
        `Kernel.key`: hash of the generated code.
    rows, channels
        Extents of the task's grids.
    part_rows, part_channels
        Tiles in both directions of what was run of it.
    processor
        `cpu` or `gpu`.
    device
        Fingerprint of the machine, see `hetcomp.devices.fingerprint`.
    """

    kernel: str
    rows: int
    channels: int
    part_rows: int
    part_channels: int
    processor: str
    device: str


class TimesCache:
    """Times in microseconds by `TimeKey`.

    Parameters
    ----------
    path
        The file; None takes `times.jsonl` in the user's cache folder of hetcomp.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(platformdirs.user_cache_dir("hetcomp")) / "times.jsonl"
        self._times = dict(_entries(self.path))

    def get(self, key: TimeKey) -> float | None:
        """Time under `key` in microseconds, None where it is not known."""
        return self._times.get(key)

    def put(self, times: Mapping[TimeKey, float]) -> None:
        """Keep `times`, in this object and, where possible, in the file."""
        self._times.update(times)
        lines = (
            json.dumps({"version": CACHE_VERSION, "us": us, **asdict(key)})
            for key, us in times.items()
        )
        data = "".join(f"{line}\n" for line in lines).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _append(self.path, data)
        except OSError as error:
            _log.debug("times are not kept: %s", error)


def _append(path: Path, data: bytes) -> None:
    """Append in one write, so that several processes may do so at once."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)


def _entries(path: Path) -> Iterable[tuple[TimeKey, float]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            entry = _entry(json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError):
            _log.debug("%s: skipped a line that is not an entry", path)
            continue
        if entry is not None:
            yield entry


def _entry(data: dict[str, Any]) -> tuple[TimeKey, float] | None:
    if data["version"] != CACHE_VERSION:
        return None
    key = TimeKey(
        kernel=str(data["kernel"]),
        rows=int(data["rows"]),
        channels=int(data["channels"]),
        part_rows=int(data["part_rows"]),
        part_channels=int(data["part_channels"]),
        processor=str(data["processor"]),
        device=str(data["device"]),
    )
    time_us = float(data["us"])
    return (key, time_us) if math.isfinite(time_us) and time_us > 0.0 else None
