"""A plan: for every task the processor or the split, with times and the reason. JSON in and out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

__all__ = ["Axis", "Decision", "Mode", "Place", "Plan"]


class Place(str, Enum):
    """Which processors run a task; `split`: the CPU and another one."""

    CPU = "cpu"
    GPU = "gpu"
    SPLIT = "split"
    NPU = "npu"


class Axis(str, Enum):
    """Along which grid a split cuts."""

    ROWS = "rows"
    CHANNELS = "channels"


class Mode(str, Enum):
    """How two processors share a task."""

    STATIC = "static"
    TICKETS = "tickets"


@dataclass(frozen=True)
class Decision:
    """Placement of one task.

    Attributes
    ----------
    task
        Name of the task.
    place, axis
        Where it runs; `axis` counts only for a split.
    cut
        The CPU takes tiles [0, cut) of the axis, the partner the rest; counts only for a split.
    mode, ticket
        With `tickets` both processors take `ticket` tiles of the axis at a time while there are
        any, the CPU from the beginning, the GPU from the end; `cut` is then where they are expected
        to meet. Counts only for a split.
    cpu_leaves, gpu_leaves
        How many of the last tickets a processor leaves to the other one, which will have done them
        before it could do one. Only the slower one may; counts only for tickets.
    reason
        Why, in words an engineer can check.
    cpu_us, gpu_us, npu_us
        Measured time of the whole task on each processor alone, in microseconds; None where not
        measured. That of the NPU is without the way there.
    predicted_us
        Predicted time under this decision.
    partner
        Who shares a split with the CPU, the GPU or the NPU; counts only for a split.
    """

    task: str
    place: Place
    axis: Axis = Axis.ROWS
    cut: int = 0
    mode: Mode = Mode.STATIC
    ticket: int = 0
    cpu_leaves: int = 0
    gpu_leaves: int = 0
    reason: str = ""
    cpu_us: float | None = None
    gpu_us: float | None = None
    predicted_us: float | None = None
    npu_us: float | None = None
    partner: Place = Place.GPU

    @property
    def shared_with_npu(self) -> bool:
        """Whether CPU and NPU share the task."""
        return self.place is Place.SPLIT and self.partner is Place.NPU


@dataclass(frozen=True)
class Plan:
    """One decision per task, in the order of the task graph."""

    name: str
    decisions: tuple[Decision, ...]
    predicted_us: float | None = None
    measured_us: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Plan:
        """Inverse of `to_json`; validation against a graph is `hetcomp.plan.check_plan`."""
        decisions = tuple(
            Decision(
                **{
                    **item,
                    "place": Place(item["place"]),
                    "axis": Axis(item["axis"]),
                    "mode": Mode(item.get("mode", Mode.STATIC.value)),
                    "partner": Place(item.get("partner", Place.GPU.value)),
                }
            )
            for item in data["decisions"]
        )
        return Plan(**{**data, "decisions": decisions})
