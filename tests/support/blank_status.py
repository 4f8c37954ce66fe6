"""A session's status in which nothing is set, for doubles of sessions to fill in what counts."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hetcomp.runtime import SessionStatus

__all__ = ["BLANK_STATUS"]

_BLANK: dict[str, Any] = {
    "str": "", "bool": False, "int": 0, "float": 0.0,
    "Mapping[str, str]": {}, "Sequence[int]": (),
}  # fmt: skip

BLANK_STATUS = SessionStatus(**{one.name: _BLANK[str(one.type)] for one in fields(SessionStatus)})
