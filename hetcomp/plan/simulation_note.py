"""What the plans of a compiled model were simulated with, as it stands in the model's file.

So that `explain` predicts them as `compile` did: with the same times of their parts, measured or by
a profile, the same costs of working together and the same contention.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, astuple, fields
from typing import Any

from hetcomp.cost.costs import SyncCost
from hetcomp.cost.npu_cost import NpuCost
from hetcomp.cost.times import KnownTimes
from hetcomp.cost.work import Part
from hetcomp.plan.contention import Contention
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.simulate import Simulator

__all__ = ["note_of", "noted_simulator"]


def note_of(simulator: Simulator) -> dict[str, Any]:
    """Plain data; of times those of all parts that `simulator` has simulated."""
    return {
        "sync": asdict(simulator.sync),
        "contention": asdict(simulator.contention),
        "npu": None if simulator.npu is None else asdict(simulator.npu),
        "parts": [
            [*astuple(part), time_us]
            for part, time_us in simulator.known_us.items()
            if math.isfinite(time_us)
        ],
    }


def noted_simulator(graph: TaskGraph, note: Mapping[str, Any]) -> Simulator | None:
    """Inverse of `note_of`, for the step tables that were simulated then.

    None where another version of hetcomp wrote the note, by other costs of working together.
    """
    if set(note["sync"]) != {field.name for field in fields(SyncCost)}:
        return None
    known = {Part(*place): time_us for *place, time_us in note["parts"]}
    contention = Contention(**{key: tuple(values) for key, values in note["contention"].items()})
    npu = NpuCost.from_json(note["npu"]) if note.get("npu") else None
    return Simulator(graph, KnownTimes(known), SyncCost(**note["sync"]), contention, npu)
