"""Times one layer under a placement: copies of it run after each other on one inference.

Where the tier does so all copies are enqueued ahead, and in a split each half waits for the other
half of the copy before, as in a chain of layers. So the time from one copy's end to the next one's
contains launching and the full synchronisation of a layer, and leaves out waking the device. Every
copy has weights and activations of its own, together more than the second-level caches of both
processors hold, and the copies are run through several times, the first time untimed: what a layer
reads comes from beyond those caches for every placement alike, so that a gain is none of the cache.
What passes from layer to layer in a network, and halos, is left out: copies do not read each other.
"""

from __future__ import annotations

import math
from dataclasses import replace

from hetcomp.cost.work import Part
from hetcomp.devices import describe_cpu
from hetcomp.errors import DeviceError
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.table import Step, StepTable
from hetcomp.runtime import Session
from hetcomp.runtime.records import RunProfile

__all__ = ["LayerChain", "chain_copies", "l2_bytes"]

_FAR = 2
"""Bytes of a chain in second-level caches of both processors."""
_MOST_COPIES, _LEAST_COPIES = 96, 2
_PASSES_US = 6000.0
"""Time of the passes that are timed."""
_MOST_STEPS = 384
_ATTEMPTS = 5


def l2_bytes() -> int:
    """Size of one core's second-level cache; 0 where it is not known."""
    cpu = describe_cpu().cpu
    caches = cpu.caches if cpu else ()
    return next((cache.size_bytes for cache in caches if cache.level == 2), 0)


def chain_copies(layer_bytes: int, cache_bytes: int) -> int:
    """Copies of a layer that hold more than both processors' caches of `cache_bytes`."""
    wanted = math.ceil(_FAR * 2 * cache_bytes / max(1, layer_bytes))
    return max(_LEAST_COPIES, min(_MOST_COPIES, wanted))


class LayerChain:
    """A session of a .so whose tasks are copies of one layer.

    Parameters
    ----------
    session
        The loaded model; another step table is installed when a method returns.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._base = session.image.tables[0]

    @property
    def graph(self) -> TaskGraph:
        """All copies."""
        return self._session.graph

    @property
    def task(self) -> Task:
        """The layer."""
        return self.graph.tasks[0]

    def times_us(
        self,
        cpu: Part | None,
        gpu: Part | None,
        about_us: float,
        reps: int = 3,
        *,
        ticket: int = 0,
    ) -> list[float]:
        """Time per layer, one sample a repetition.

        Parameters
        ----------
        cpu, gpu
            What either processor computes of every copy; None: nothing.
        about_us
            What a layer takes, roughly: decides how often the copies are run through.
        reps
            Inferences; each is one sample, the mean over all its timed layers.
        ticket
            Tiles that either takes at a time of what both are given, see `Step.ticket`.

        Raises
        ------
        DeviceError
            The host was kept from watching the device, time after time.
        """
        copies = len(self.graph.tasks)
        timed = math.ceil(_PASSES_US / (copies * max(1.0, about_us)))
        # The runtime gives out the tickets of a task once: half of the only pass is timed then.
        passes = 1 if ticket else 1 + max(1, min(timed, _MOST_STEPS // copies - 1))
        untimed = copies if passes > 1 else copies // 2
        table = self._table(_step(cpu, ticket), _step(gpu, ticket), passes)
        self._session.set_table(table)
        found: list[float] = []
        for _ in range(_ATTEMPTS):
            runs = self._session.profile(reps - len(found)).runs
            found += [us for run in runs if (us := _per_layer_us(table, run, untimed))]
            if len(found) == reps:
                return found
        raise DeviceError(f"{_ATTEMPTS} times nobody was there to see the device's ends: busy?")

    def _table(self, cpu: Step | None, gpu: Step | None, passes: int) -> StepTable:
        copies = len(self.graph.tasks)
        ordinals = range(1, copies * passes + 1)
        both = cpu is not None and gpu is not None
        ends = {copies, copies * passes}

        def lane(half: Step | None) -> tuple[Step, ...]:
            if half is None:
                return ()
            return tuple(
                replace(
                    half,
                    task=(ordinal - 1) % copies,
                    wait=ordinal - 1 if both else 0,
                    signal=both or ordinal in ends,
                )
                for ordinal in ordinals
            )

        return replace(self._base, name="chain", cpu=lane(cpu), gpu=lane(gpu))


def _step(part: Part | None, ticket: int) -> Step | None:
    if part is None:
        return None
    rows, channels = (part.row_begin, part.row_end), (part.channel_begin, part.channel_end)
    return Step(0, *rows, *channels, ticket=ticket)


def _per_layer_us(table: StepTable, run: RunProfile, untimed: int) -> float | None:
    """From the end of the last untimed layer to that of the last; None where one was not seen."""
    steps = max(len(table.cpu), len(table.gpu))
    begin_us, end_us = (_end_us(run, ordinal) for ordinal in (untimed, steps))
    if begin_us is None or end_us is None:
        return None
    return (end_us - begin_us) / (steps - untimed)


def _end_us(run: RunProfile, ordinal: int) -> float | None:
    """When both processors had ended this step."""
    cpu = run.cpu[ordinal - 1].end_us if run.cpu else 0.0
    gpu = run.gpu_end_us[ordinal - 1] if run.gpu_end_us else 0.0
    return None if gpu < 0.0 else max(cpu, gpu)
