"""Several visits to one batch, some seconds apart: from their times to samples.

What disturbs a machine lasts for seconds, longer than a batch takes; and every visit loads the
model anew, so that its memory lies elsewhere, which caches feel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hetcomp.cost.launches import Array
from hetcomp.cost.profile import TIME_DIGITS, KernelSample
from hetcomp.cost.work import KernelWork
from hetcomp.profile.drift import steady_us

__all__ = ["Turns", "Visit", "samples_of"]


@dataclass(frozen=True)
class Turns:
    """What was timed of kernels that took turns.

    Attributes
    ----------
    works, groups
        Of each launch, and the group of samples that it belongs to.
    times_us, touches_us
        As in `hetcomp.profile.kernels.Timed`.
    """

    works: tuple[KernelWork, ...]
    groups: tuple[str, ...]
    times_us: Array
    touches_us: Array


Visit = tuple[Turns, ...]
"""All turns of a batch, in the same order at each visit."""


def samples_of(visits: Sequence[Visit]) -> tuple[KernelSample, ...]:
    """Samples of a batch, from all visits to it."""
    return tuple(
        sample for turns in zip(*visits, strict=True) for sample in _samples_of_turns(turns)
    )


def _samples_of_turns(visits: Sequence[Turns]) -> Iterator[KernelSample]:
    times = np.concatenate([turns.times_us for turns in visits])
    touches = np.concatenate([turns.touches_us for turns in visits])
    steady = steady_us(np.concatenate([times, touches], axis=1))
    for column, (work, group) in enumerate(zip(visits[0].works, visits[0].groups, strict=True)):
        seen = _kept(times[:, column][~np.isnan(times[:, column])])
        if seen:
            yield KernelSample(work, seen, group, *_kept(steady[column : column + 1]))


def _kept(times_us: Array) -> tuple[float, ...]:
    """As files keep times, so that a profile and its models are the same when they are read."""
    return tuple(round(float(time_us), TIME_DIGITS) for time_us in times_us)
