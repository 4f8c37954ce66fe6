"""Which choice a data base has for a kernel: what `compile --tuned` asks while it lowers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hetcomp.codegen.functions import kernel_key, structure_key
from hetcomp.codegen.kernel_table import Chosen
from hetcomp.schedules.choice import Choice, IllegalChoice
from hetcomp.schedules.facts import DeviceFacts
from hetcomp.schedules.scheduled import Scheduled
from hetcomp.schedules.select import schedule
from hetcomp.tune.database import Record

__all__ = ["TunedChoices"]

_PREFERENCE = {
    "cpu+gpu": ("cpu+gpu", "cpu", "gpu"),
    "cpu": ("cpu", "cpu+gpu"),
    "gpu": ("gpu", "cpu+gpu"),
}
"""Whose winners to take, by the processors that will run the model."""


class TunedChoices:
    """Chooses winners for `lower_tasks`.

    Parameters
    ----------
    records
        Of a data base.
    facts
        Register file of the CPU, as it was tuned for.
    device
        Fingerprint of this machine; winners of another are taken where it has none.
    processors
        `cpu`, `gpu` or `cpu+gpu`: what will run the model.
    device_class
        Of the OpenCL kernels: what was measured with others says nothing of them.
    note
        What to add to a winner's ratio.
    """

    def __init__(
        self,
        records: Sequence[Record],
        facts: DeviceFacts,
        device: str,
        processors: str,
        device_class: str = "cpu-like",
        note: str = "",
    ) -> None:
        self._facts, self._device, self._device_class = facts, device, device_class
        self._note = note
        self._preference = _PREFERENCE[processors]
        self._of_task: dict[str, list[Record]] = {}
        for record in records:
            self._of_task.setdefault(record.task, []).append(record)

    def __call__(self, func: Any, constants: frozenset[int], default: Scheduled) -> Chosen:
        """The winner of the function's structure, or why it keeps the default."""
        if not default.space.knobs:
            return Chosen(None, "default: nothing to tune")
        found = self._of_task.get(structure_key(func, constants), [])
        if not found:
            return Chosen(None, "default: not in the data base")
        baseline = kernel_key(default, self._facts)
        current = [record for record in found if record.baseline == baseline]
        if not current:
            return Chosen(None, self._why_not_current(func, constants, found, baseline))
        winner = self._winner(current)
        if winner is None and not any(self._same_class(record) for record in current):
            return Chosen(None, "default: tuned for another class of OpenCL kernels")
        if winner is None:
            return Chosen(None, "default: tried, but no winner was confirmed; tune again")
        if not winner.choice:
            trials = sum(record.role == "trial" for record in current)
            return Chosen(None, f"default: nothing faster in {trials} trials")
        return self._legal(func, constants, winner)

    def _why_not_current(
        self, func: Any, constants: frozenset[int], found: Sequence[Record], baseline: str
    ) -> str:
        usual = schedule(func, constants, self._facts)
        usual_key = kernel_key(usual, self._facts)
        if usual_key != baseline and any(record.baseline == usual_key for record in found):
            return f"default: tuned beside {usual.variant}, which is not wanted here"
        return "default: tuned against another default kernel; tune again"

    def _winner(self, records: Sequence[Record]) -> Record | None:
        """The last winner, of this machine and the wanted processors where there is one."""
        winners = [
            record
            for record in records
            if record.role == "winner" and record.ratio is not None
            if record.processors in self._preference
            if self._same_class(record)
        ]

        def rank(record: Record) -> tuple[bool, int, float]:
            other = record.device != self._device
            return (other, self._preference.index(record.processors), -record.time)

        return min(winners, key=rank, default=None)

    def _same_class(self, record: Record) -> bool:
        """Whether its OpenCL kernels, if any, were of the class that is wanted."""
        return record.device_class in ("", self._device_class)

    def _legal(self, func: Any, constants: frozenset[int], winner: Record) -> Chosen:
        try:
            choice = Choice().with_values(winner.choice)
            schedule(func, constants, self._facts, choice)
        except IllegalChoice as error:
            return Chosen(None, f"default: the winner is not legal any more: {error}")
        elsewhere = "" if winner.device == self._device else ", measured on another machine"
        return Chosen(
            choice, f"yes: {winner.ratio:.2f} of the default's time{elsewhere}{self._note}"
        )
