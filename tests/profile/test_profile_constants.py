"""What planners read from the measured constants."""

from __future__ import annotations

import pytest

from hetcomp.cost.costs import SyncCost
from hetcomp.profile.constants import sync_of
from hetcomp.profile.copies import copying_costs
from hetcomp.profile.tiers import tiers_from

DISPATCH = {"gpu_launch_us": 9.0, "enqueue_us": 0.0, "first_enqueue_us": 4.0, "wake_us": 12.0}
WAITS = {"split_us": 1.5, "handover_us": 0.5}
TIER = {**DISPATCH, **WAITS}


LINES = {"cpu_read_ns": 8.0, "gpu_read_ns": 4.0, "cpu_write_ns": 3.0, "gpu_write_ns": 2.0}
FINE = {"fine.upload_us": 0.1, "coarse.upload_us": 9.0}


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_a_line_is_never_free(factor: float) -> None:
    lines = {name: factor * ns for name, ns in LINES.items()}
    border = {"row_ns": 24.0 * factor}
    constants = {"tier.svm-ahead": TIER, "lines": lines, "border": border, "copies": FINE}
    constants["tickets"] = {"cpu_ticket_us": 0.2 * factor, "gpu_ticket_us": 0.6}
    sync, usual = sync_of(constants)["svm-ahead"], SyncCost()
    assert sync.cpu_ticket_us == (0.2 * factor or usual.cpu_ticket_us)
    assert sync.gpu_ticket_us == 0.6
    assert sync.border_ns == (24.0 * factor or usual.border_ns)
    assert sync.to_cpu_line_ns == (10.0 * factor or usual.to_cpu_line_ns)
    assert sync.to_gpu_line_ns == (7.0 * factor or usual.to_gpu_line_ns)
    assert (sync.wake_us, sync.split_us, sync.to_cpu_copy_us) == (12.0, 1.5, 0.0)


@pytest.mark.parametrize("memory", ["coarse", "buffer"])
def test_what_is_not_shared_is_copied(memory: str) -> None:
    near_us = {"upload": 9.0 + 40.96, "download": 3.0 + 4.096}
    copies = {f"{memory}.upload_us": 9.0, f"{memory}.download_us": 3.0}
    copies |= {f"{memory}.{way}_near_gb_s": 262.144 / time for way, time in near_us.items()}
    found = copying_costs({**copies, "buffer.upload_us": copies.get("buffer.upload_us", 30.0)})
    assert found == pytest.approx(
        {
            **{"to_cpu_copy_us": 3.0, "to_cpu_line_ns": 1.0},
            **{"to_gpu_copy_us": 9.0, "to_gpu_line_ns": 10.0},
        }
    )
    tiers = {"tier.event": TIER, "lines": LINES, "border": {"row_ns": 1.0}, "copies": copies}
    tiers["tickets"] = {}
    assert sync_of(tiers)["event"].to_cpu_copy_us == 3.0


def test_each_tier_has_its_costs() -> None:
    slower = {**TIER, "split_us": 9.0}
    constants = {
        **{"tier.svm": TIER, "tier.finish": slower},
        **{"lines": LINES, "border": {"row_ns": 3.0}, "copies": FINE, "tickets": {}},
    }
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
