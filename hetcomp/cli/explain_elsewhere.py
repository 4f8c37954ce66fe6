"""`explain --profile`: a compiled model by the models of a device profile, with a plan for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hetcomp.cli.explain_plans import is_pipelined
from hetcomp.cost.profile_file import load_profile
from hetcomp.goal import Goal
from hetcomp.plan.by_times import by_times
from hetcomp.plan.forecast import Forecast, profile_forecast, ranges_of, tier_of
from hetcomp.plan.steps import make_table

if TYPE_CHECKING:
    from hetcomp.runtime.image import Image

__all__ = ["PLANNED", "Elsewhere", "elsewhere"]

PLANNED = "planned for that device"


@dataclass(frozen=True)
class Elsewhere:
    """A model on the device of a profile.

    Attributes
    ----------
    image
        The model's, with one more plan, the first one: by `forecast`, for the model's objective.
        What was measured or predicted where it was compiled is left out of the plans.
    forecast
        Times of its tasks there.
    tier
        How processors wait for each other there.
    """

    image: Image
    forecast: Forecast
    tier: str

    @property
    def text(self) -> str:
        """What the times mean."""
        return (
            f"times, reasons and plan are predicted for {self.forecast.costs.device}, tier "
            f"{self.tier}; the kernels are those in the file, compiled for "
            f"{self.image.target or 'this machine'}: their variants and tile sizes stay as they "
            "are, only their times are that device's"
        )


def elsewhere(image: Image, profile: Path, tier: str | None) -> Elsewhere:
    """Predict and plan `image` by a device profile.

    Raises
    ------
    ProfileError
        The profile cannot be read, or has no costs of `tier`.
    """
    known = load_profile(profile)
    tier = tier_of(known, tier)
    forecast = profile_forecast(image.graph, known, tier)
    plan = by_times(
        image.graph,
        forecast.costs,
        forecast.sync,
        PLANNED,
        times=forecast.times,
        goal=Goal("throughput" if is_pipelined(image) else "latency"),
        contention=forecast.contention,
    )
    others = (replace(other, predicted_us=None, measured_us=None) for other in image.plans)
    planned = replace(
        image,
        plans=(plan, *others),
        tables=(make_table(image.graph, plan), *image.tables),
        build={**image.build, "ranges": ranges_of(image.graph, forecast.costs)},
    )
    return Elsewhere(planned, forecast, tier)
