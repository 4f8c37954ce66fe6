"""What tuning has found, as lines of JSON that are only ever appended.

A line that cannot be read, such as the half of one that a killed process left, is skipped; so are
lines of unknown versions, and those of class `gpu` before it had parameters. Data bases merge by
putting their lines together.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hetcomp.errors import InputError
from hetcomp.files import atomic_path

__all__ = ["DATABASE_VERSION", "Database", "Record", "merge"]

DATABASE_VERSION = 2
_READABLE = (1, 2)
_GROUPS_SINCE = 2
"""Version from which class `gpu` has parameters of its own; earlier trials did not try them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """One candidate that was tried, or the winner of a task.

    Attributes
    ----------
    role
        `trial`, or `winner`: re-measured against the default, which it is where `choice` is empty.
    task, baseline
        Keys of the task's structure and of its default kernel's code.
    what
        Kind and shapes of the task.
    processors
        For whom it was tuned: `cpu`, `gpu` or `cpu+gpu`.
    device
        Fingerprint of the machine.
    device_class
        Of the OpenCL kernels that were measured, `cpu-like` or `gpu`; empty where none were.
    choice
        Parameters by name that differ from the default.
    status
        `ok`, `wrong` (other numbers than the default), `build`, `timeout`, `crash`, `error`.
    ratio
        Time over the default's; for two processors that of both together. None without a time.
    spread
        Distance of the quartiles of the ratio, turn by turn.
    times_us, default_us
        Lowest decile of the times, by processor.
    error
        Largest deviation from the default's output over its largest magnitude.
    message
        Why there is no time.
    hetcomp, tvm
        Versions.
    time
        Seconds since 1970.
    """

    role: str
    task: str
    baseline: str
    what: str
    processors: str
    device: str
    choice: Mapping[str, Any]
    status: str = "ok"
    ratio: float | None = None
    spread: float | None = None
    times_us: Mapping[str, float] = field(default_factory=dict)
    default_us: Mapping[str, float] = field(default_factory=dict)
    error: float | None = None
    message: str = ""
    hetcomp: str = ""
    tvm: str = ""
    device_class: str = ""
    time: float = 0.0


class Database:
    """Records of a file; a missing file is an empty data base.

    Raises
    ------
    InputError
        The file cannot be read, or holds nothing that is a record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records = list(_read(path))

    @property
    def records(self) -> tuple[Record, ...]:
        """All records, oldest first."""
        return tuple(self._records)

    def add(self, record: Record) -> None:
        """Append `record`, to the file as well, in one write."""
        line = _line(record)
        if _ends_in_mid_line(self.path):
            line = "\n" + line
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise InputError(f"data base '{self.path}' cannot be written: {error}") from error
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)
        self._records.append(record)


def merge(sources: Sequence[Path], output: Path) -> int:
    """Write the records of all `sources`, each once, to `output`; returns how many.

    What `output` holds already stays.

    Raises
    ------
    InputError
        A source is missing or no data base.
    """
    lines: dict[str, float] = {}
    for path in sources:
        if not path.is_file():
            raise InputError(f"data base '{path}' does not exist")
    for path in (*sources, *([output] if output.is_file() else [])):
        lines |= {_line(record): record.time for record in _read(path)}
    with atomic_path(output) as temporary:
        temporary.write_text("".join(sorted(lines, key=lambda line: lines[line])), "utf-8")
    return len(lines)


def _line(record: Record) -> str:
    data = {key: value for key, value in asdict(record).items() if value not in (None, "", {})}
    data["choice"] = dict(record.choice)
    return json.dumps({"version": DATABASE_VERSION, **data}) + "\n"


def _read(path: Path) -> Iterable[Record]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"data base '{path}' cannot be read: {error}") from error
    lines = text.splitlines()
    found = [record for line in lines if (record := _record(line)) is not None]
    if len(lines) > 1 and not found:
        raise InputError(f"'{path}' is no data base of hetcomp tune: no line of it is a record")
    yield from found


_NAMES = {f.name for f in fields(Record)}


def _record(line: str) -> Record | None:
    try:
        data = json.loads(line)
        version = data.pop("version")
        if version not in _READABLE or (_of_groups(data) and version < _GROUPS_SINCE):
            return None
        return Record(**{key: value for key, value in data.items() if key in _NAMES})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        _log.debug("skipped a line that is not a record: %.40s", line)
        return None


def _of_groups(data: Mapping[str, Any]) -> bool:
    return data.get("device_class") == "gpu"


def _ends_in_mid_line(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"
    except OSError:
        return False  # missing or empty
