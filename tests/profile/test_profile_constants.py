"""What planners read from the measured constants."""

from __future__ import annotations

import pytest

from hetcomp.cost.costs import SyncCost
from hetcomp.profile.constants import sync_of

DISPATCH = {"launch_us": 9.0, "enqueue_us": 0.0, "first_enqueue_us": 4.0, "wake_us": 12.0}
FLAGS = {"split_us": 1.5, "handover_us": 0.5}


@pytest.mark.parametrize(
    ("cpu_ns", "gpu_ns", "line_ns"), [(8.0, 4.0, 6.0), (0.0, 0.0, SyncCost().line_ns)]
)
def test_a_line_is_never_free(cpu_ns: float, gpu_ns: float, line_ns: float) -> None:
    lines = {"cpu_read_ns": cpu_ns, "gpu_read_ns": gpu_ns}
    border = {"row_ns": 3.0 * cpu_ns}
    sync = sync_of({"dispatch": DISPATCH, "flags": FLAGS, "lines": lines, "border": border})
    assert sync.border_ns == (3.0 * cpu_ns or SyncCost().border_ns)
    assert (sync.line_ns, sync.wake_us, sync.split_us) == (line_ns, 12.0, 1.5)
