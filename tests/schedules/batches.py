"""How layers are drawn for tests that compile and run many at a time."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

__all__ = ["BATCHES"]

BATCHES = settings(
    max_examples=2,
    deadline=None,
    print_blob=True,
    # Examples are whole batches: made smaller one kernel at a time they would take hours.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
