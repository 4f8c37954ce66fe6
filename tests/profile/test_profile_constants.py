"""What planners read from the measured constants."""

from __future__ import annotations

import pytest

from hetcomp.cost.costs import SyncCost
from hetcomp.profile.constants import sync_of
from hetcomp.profile.tiers import tiers_from

DISPATCH = {"gpu_launch_us": 9.0, "enqueue_us": 0.0, "first_enqueue_us": 4.0, "wake_us": 12.0}
WAITS = {"split_us": 1.5, "handover_us": 0.5}
TIER = {**DISPATCH, **WAITS}


@pytest.mark.parametrize(
    ("cpu_ns", "gpu_ns", "line_ns"), [(8.0, 4.0, 6.0), (0.0, 0.0, SyncCost().line_ns)]
)
def test_a_line_is_never_free(cpu_ns: float, gpu_ns: float, line_ns: float) -> None:
    lines = {"cpu_read_ns": cpu_ns, "gpu_read_ns": gpu_ns}
    border = {"row_ns": 3.0 * cpu_ns}
    sync = sync_of({"tier.svm-ahead": TIER, "lines": lines, "border": border})["svm-ahead"]
    assert sync.border_ns == (3.0 * cpu_ns or SyncCost().border_ns)
    assert (sync.line_ns, sync.wake_us, sync.split_us) == (line_ns, 12.0, 1.5)


def test_each_tier_has_its_costs() -> None:
    lines = {"cpu_read_ns": 8.0, "gpu_read_ns": 4.0}
    slower = {**TIER, "split_us": 9.0}
    constants = {"tier.svm": TIER, "tier.finish": slower, "lines": lines, "border": {"row_ns": 3.0}}
    sync = sync_of(constants)
    assert {tier: cost.split_us for tier, cost in sync.items()} == {"svm": 1.5, "finish": 9.0}
    assert not any(cost.ahead for cost in sync.values())
    assert sync_of({"peaks": {}}) == {}


@pytest.mark.parametrize(
    ("fastest", "tiers"), [("svm-ahead", 4), ("event", 2), ("finish", 1), ("cpu", 0)]
)
def test_slower_tiers_are_measured_too(fastest: str, tiers: int) -> None:
    found = tiers_from(fastest)
    assert len(found) == tiers
    assert "cpu" not in found
