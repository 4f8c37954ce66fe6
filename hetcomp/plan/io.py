"""Plans as JSON files, so that a user can read, edit and replay them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hetcomp.errors import PlanError
from hetcomp.files import write_text_atomically
from hetcomp.plan.plan import Axis, Decision, Mode, Place, Plan

__all__ = ["parse_plan", "read_plan", "write_plan"]

_NUMBERS = ("cpu_us", "gpu_us", "npu_us", "predicted_us")
_TILES = ("cut", "ticket", "cpu_leaves", "gpu_leaves")
_FIELDS = {"task", "place", "axis", "mode", "partner", "reason", *_TILES, *_NUMBERS}
_PLAN_FIELDS = {"name", "decisions", "predicted_us", "measured_us"}


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan file; whether it fits a graph is `check_plan`'s question.

    Raises
    ------
    PlanError
        The file cannot be read, is not JSON, or has wrong or missing fields.
    """
    where = f"plan file '{os.fspath(path)}'"
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise PlanError(f"{where}: cannot be read: {reason}") from error
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise PlanError(f"{where}: not JSON: {error}") from error
    return parse_plan(data, where)


def parse_plan(data: Any, where: str) -> Plan:
    """A plan from parsed JSON of unknown origin; `where` begins the text of errors."""
    fields = _object(data, where, _PLAN_FIELDS)
    decisions = fields.get("decisions")
    if not isinstance(decisions, list):
        raise PlanError(f"{where}: 'decisions' must be a list, got {_kind(decisions)}")
    return Plan(
        name=_text(fields.get("name", "custom"), "name", where),
        decisions=tuple(
            _decision(item, f"{where}, decision {index}") for index, item in enumerate(decisions)
        ),
        predicted_us=_number(fields, "predicted_us", where),
        measured_us=_number(fields, "measured_us", where),
    )


def write_plan(path: str | os.PathLike[str], plan: Plan) -> None:
    """Write `plan` as a JSON file, whole or not at all.

    Raises
    ------
    PlanError
        The file cannot be written.
    """
    try:
        write_text_atomically(path, json.dumps(plan.to_json(), indent=2) + "\n")
    except OSError as error:
        where = f"plan file '{os.fspath(path)}'"
        raise PlanError(f"{where}: cannot be written: {error.strerror}") from error


def _decision(data: Any, where: str) -> Decision:
    fields = _object(data, where, _FIELDS)
    for key in ("task", "place"):
        if key not in fields:
            raise PlanError(f"{where}: field '{key}' is missing")
    cut, ticket, cpu_leaves, gpu_leaves = (_whole(fields, key, where) for key in _TILES)
    place = _choice(fields["place"], "place", tuple(item.value for item in Place), where)
    axis = _choice(fields.get("axis", "rows"), "axis", tuple(item.value for item in Axis), where)
    partners = (Place.GPU.value, Place.NPU.value)
    partner = _choice(fields.get("partner", Place.GPU.value), "partner", partners, where)
    modes = tuple(item.value for item in Mode)
    mode = _choice(fields.get("mode", Mode.STATIC.value), "mode", modes, where)
    if place == Place.SPLIT.value and "cut" not in fields:
        raise PlanError(f"{where}: a split needs 'cut', the number of tiles that the CPU takes")
    return Decision(
        task=_text(fields["task"], "task", where),
        place=Place(place),
        axis=Axis(axis),
        cut=cut,
        mode=Mode(mode),
        ticket=ticket,
        cpu_leaves=cpu_leaves,
        gpu_leaves=gpu_leaves,
        reason=_text(fields.get("reason", ""), "reason", where),
        cpu_us=_number(fields, "cpu_us", where),
        gpu_us=_number(fields, "gpu_us", where),
        npu_us=_number(fields, "npu_us", where),
        partner=Place(partner),
        predicted_us=_number(fields, "predicted_us", where),
    )


def _whole(fields: dict[str, Any], key: str, where: str) -> int:
    value = fields.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool):
        raise PlanError(f"{where}: '{key}' must be a whole number, got {_kind(value)}")
    return value


def _object(data: Any, where: str, allowed: set[str]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise PlanError(f"{where}: expected a JSON object, got {_kind(data)}")
    unknown = sorted(set(data) - allowed)
    if unknown:
        raise PlanError(
            f"{where}: unknown field '{unknown[0]}', expected {', '.join(sorted(allowed))}"
        )
    return data


def _text(value: Any, key: str, where: str) -> str:
    if not isinstance(value, str):
        raise PlanError(f"{where}: '{key}' must be text, got {_kind(value)}")
    return value


def _choice(value: Any, key: str, choices: tuple[str, ...], where: str) -> str:
    if value not in choices:
        raise PlanError(f"{where}: '{key}' must be one of {', '.join(choices)}, got {value!r}")
    return str(value)


def _number(fields: dict[str, Any], key: str, where: str) -> float | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PlanError(f"{where}: '{key}' must be a number or null, got {_kind(value)}")
    return float(value)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true/false", type(None): "null"}
    return names.get(type(value), "a number")
