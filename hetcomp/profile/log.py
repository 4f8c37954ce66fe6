"""The log beside a profile: everything measured so far, a line each, safe against `kill -9`.

Its first line says what it belongs to. A last line that was cut off is dropped.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hetcomp.cost.profile import KernelSample
from hetcomp.cost.profile_file import sample_from_json, sample_to_json
from hetcomp.errors import ProfileError
from hetcomp.profile.families import Point
from hetcomp.profile.layers import layer_from_json, layer_to_json

__all__ = ["Batch", "Header", "MeasureLog"]

LOG_VERSION = 2


@dataclass(frozen=True)
class Header:
    """What a log belongs to; one with another header is not continued."""

    device: str
    hetcomp: str
    seed: int
    version: int = LOG_VERSION


@dataclass(frozen=True)
class Batch:
    """Kernels that were compiled and measured together.

    Attributes
    ----------
    number
        Ordinal of the batch.
    points
        What was drawn.
    samples
        What was measured.
    """

    number: int
    points: tuple[Point, ...]
    samples: tuple[KernelSample, ...]


@dataclass
class MeasureLog:
    """Constants by their stage, batches of kernels, and why some failed; each kept as it comes.

    Attributes
    ----------
    path, header
        The file, and what it belongs to.
    passes
        Of stages of constants, each pass over them.
    constants
        By stage, of all passes, once all stages have them.
    batches, failures
        Kernels that were measured, and why others were not.
    spent_s
        Time spent.
    """

    path: Path
    header: Header
    passes: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)
    constants: dict[str, Mapping[str, float]] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    spent_s: float = 0.0

    @property
    def samples(self) -> tuple[KernelSample, ...]:
        """Those of all batches."""
        return tuple(sample for batch in self.batches for sample in batch.samples)

    @staticmethod
    def open(path: Path, header: Header) -> MeasureLog:
        """Go on with the log at `path`, or begin one.

        A log by which time was spent and no kernel measured is begun anew.

        Raises
        ------
        ProfileError
            The log belongs to another device, version or seed, or is none.
        """
        log = MeasureLog(path, header)
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        whole = [line for line in lines[:-1] if line]
        if whole:
            log._check(whole[0])
            for line in whole[1:]:
                log._take(line)
        if not whole or (log.spent_s > 0.0 and not log.samples):
            path.write_bytes(b"")
            log = MeasureLog(path, header)
            log._append({"header": dataclasses.asdict(header)})
        else:
            os.truncate(path, sum(len(line) + 1 for line in lines[:-1]))
        return log

    def put_pass(self, stage: str, values: Mapping[str, float]) -> None:
        """Keep one pass over a stage of constants."""
        self.passes.setdefault(stage, []).append(values)
        self._append({"pass": stage, "values": dict(values)})

    def put_constants(self, stage: str, values: Mapping[str, float]) -> None:
        """Keep the constants of a stage."""
        self.constants[stage] = values
        self._append({"constants": stage, "values": dict(values)})

    def put_batch(self, batch: Batch) -> None:
        """Keep a batch."""
        self.batches.append(batch)
        self._append(
            {
                "batch": batch.number,
                "points": [_point_to_json(point) for point in batch.points],
                "samples": [sample_to_json(sample) for sample in batch.samples],
            }
        )

    def put_failure(self, batch: int, why: str) -> None:
        """Keep why a batch has no times."""
        text = f"batch {batch}: {why}"
        self.failures.append(text)
        self._append({"failure": text})

    def put_spent(self, seconds: float) -> None:
        """Add to the time spent, by which the budget of a continued run is reckoned."""
        self.spent_s += seconds
        self._append({"spent_s": seconds})

    def remove(self) -> None:
        """The profile is written: the log is needed no more."""
        self.path.unlink(missing_ok=True)

    def _check(self, line: bytes) -> None:
        try:
            found = Header(**json.loads(line)["header"])
        except (KeyError, TypeError, ValueError) as error:
            raise ProfileError(
                f"{self.path} is no log of hetcomp profile; move it away or give another -o"
            ) from error
        for item in dataclasses.fields(Header):
            got, expected = getattr(found, item.name), getattr(self.header, item.name)
            if got != expected:
                raise ProfileError(
                    f"{self.path} was begun with {item.name} '{got}', this run has '{expected}': "
                    "remove it to begin anew"
                )

    def _take(self, line: bytes) -> None:
        try:
            data = json.loads(line)
            if "constants" in data:
                self.constants[data["constants"]] = data["values"]
            elif "pass" in data:
                self.passes.setdefault(data["pass"], []).append(data["values"])
            elif "failure" in data:
                self.failures.append(str(data["failure"]))
            elif "spent_s" in data:
                self.spent_s += data["spent_s"]
            else:
                self.batches.append(_batch(data))
        except (KeyError, TypeError, ValueError) as error:
            raise ProfileError(f"{self.path} is damaged: {error}; remove it") from error

    def _append(self, data: Mapping[str, Any]) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(data).encode() + b"\n")


def _batch(data: Mapping[str, Any]) -> Batch:
    return Batch(
        number=int(data["batch"]),
        points=tuple(map(_point, data["points"])),
        samples=tuple(map(sample_from_json, data["samples"])),
    )


def _point_to_json(point: Point) -> dict[str, Any]:
    layer = layer_to_json(point.layer)
    return {"family": point.family, "layer": layer, "place": point.place}


def _point(data: Mapping[str, Any]) -> Point:
    place = tuple(map(float, data["place"]))
    return Point(str(data["family"]), layer_from_json(data["layer"]), place)
