"""The tuning of a model's tasks: trials where most time is spent, then winners re-measured.

All that is found goes to the data base at once, so that a tuning that was killed goes on where it
was. A winner is recorded only after a second, longer measurement beside the default.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from hetcomp.codegen.functions import function_to_json
from hetcomp.devices import CpuInfo
from hetcomp.schedules.choice import Choice
from hetcomp.schedules.facts import GroupFacts
from hetcomp.tune.database import Database, Record
from hetcomp.tune.evaluate import Evaluation, Protocol
from hetcomp.tune.judge import Judgement, judge
from hetcomp.tune.outcome import Outcome
from hetcomp.tune.results import State, TaskResult
from hetcomp.tune.runner import TrialRunner
from hetcomp.tune.search import CostModel, Sample, Search, choice_at, point_of
from hetcomp.tune.tasks import TuneTask
from hetcomp.tune.trial import Trial, copies_for

__all__ = ["LoopOptions", "Stamp", "TuneLoop"]

_BATCH = 4
_MOST_BYTES = 256 << 20
"""Weights of the candidates that are built together."""
_STARTS = 4
"""Best points from which annealing starts."""
_TOLERANCE = 1e-4
"""Largest deviation from the default's output, relative to its largest magnitude, that is right:
Winograd F(4x4) has up to 1.6e-5."""
_FINALISTS = 2
_PROMISING = 0.97
_FINAL_SECONDS = 1.5
_FINAL_PART = 0.25
"""Part of a time limit that is kept for re-measuring."""


@dataclass(frozen=True)
class Stamp:
    """Where and by what is measured; `groups` for an OpenCL device of class `gpu`, `cpu` for a
    board."""

    device: str
    processors: tuple[str, ...]
    hetcomp: str
    tvm: str
    groups: GroupFacts | None = None
    cpu: CpuInfo | None = None

    @property
    def device_class(self) -> str:
        """Of the OpenCL kernels."""
        return "cpu-like" if self.groups is None else "gpu"


@dataclass(frozen=True)
class LoopOptions:
    """How long to tune.

    Attributes
    ----------
    trials
        Candidates of all tasks together, those in the data base included.
    time_limit_s
        Seconds after which no further trial starts; None sets no limit.
    seed
        Of all random choices.
    """

    trials: int = 200
    time_limit_s: float | None = None
    seed: int = 0


_Measured = tuple[Choice, Outcome, Judgement | None]


class TuneLoop:
    """Tunes `tasks`; `run` may be called once."""

    def __init__(
        self,
        tasks: Sequence[TuneTask],
        database: Database,
        runner: TrialRunner,
        stamp: Stamp,
        options: LoopOptions,
        report: Callable[[State], None] | None = None,
    ) -> None:
        self._tasks, self._database, self._runner = tasks, database, runner
        self._stamp, self._options = stamp, options
        self._report = report or (lambda _state: None)
        self._model = CostModel(options.seed)
        self._begin = time.monotonic()
        rng = random.Random(options.seed)
        self._searches = {
            task.key: Search(task, random.Random(rng.random()), {task.base}) for task in tasks
        }
        for task in tasks:
            search = self._searches[task.key]
            search.tried |= {choice_at(task, s.point) for s in self._samples(task)}

    def run(self) -> tuple[TaskResult, ...]:
        """Try candidates until trials, time or spaces are exhausted, then confirm winners."""
        exhausted: set[str] = set()
        at_start = self._done()
        while self._done() < self._options.trials and not self._out_of_time():
            open_tasks = [task for task in self._tasks if task.key not in exhausted]
            if not open_tasks:
                break
            task = max(open_tasks, key=self._urgency)
            if not self._batch(task, at_start):
                exhausted.add(task.key)
        for task in self._tasks:
            self._confirm(task)
        return tuple(map(self._result, self._tasks))

    def _batch(self, task: TuneTask, at_start: int) -> bool:
        """One batch of trials; whether there was anything to try."""
        self._model.fit([sample for t in self._tasks for sample in self._samples(t)])
        good = sorted((s for s in self._samples(task) if s.ratio), key=lambda s: s.ratio or 0.0)
        best = [dict(sample.point) for sample in good[:_STARTS]]
        default = point_of(task, task.base.values())
        best += [default] if default is not None else []
        count = min(_BATCH, self._options.trials - self._done())
        points = self._searches[task.key].propose(self._model, count, best)
        self._tell("trying", task, at_start)
        self._try(task, [choice_at(task, point) for point in points])
        return bool(points)

    def _try(self, task: TuneTask, choices: Sequence[Choice]) -> None:
        """Measure candidates and record each."""
        for choice, outcome, verdict in self._measured(task, choices):
            self._database.add(self._record("trial", task, choice, outcome, verdict))

    def _confirm(self, task: TuneTask) -> None:
        """Re-measure the best candidates beside the default; record the winner or the default."""
        trials = self._trials(task)
        if not trials or self._confirmed(task, trials):
            return
        good = [t for t in trials if t.status == "ok" and (t.ratio or 1.0) < _PROMISING]
        finalists = sorted(good, key=lambda t: t.ratio or 1.0)[:_FINALISTS]
        if finalists:
            self._tell("confirming", task, self._done())
        choices = [Choice().with_values(t.choice) for t in finalists]
        finals = self._measured(task, choices, _FINAL_SECONDS)
        faster = [(v, choice, out) for choice, out, v in finals if v is not None and v.faster]
        if faster:
            verdict, choice, outcome = min(faster, key=lambda final: final[0].ratio)
            self._database.add(self._record("winner", task, choice, outcome, verdict))
        elif all(verdict is not None for _, _, verdict in finals):
            times = next((t.default_us for t in reversed(trials) if t.default_us), {})
            stays = self._record("winner", task, Choice(), Outcome(None), None)
            self._database.add(replace(stays, ratio=1.0, times_us=times, default_us=times))
        # else not known: the next tuning asks again

    def _measured(
        self, task: TuneTask, choices: Sequence[Choice], seconds: float = Protocol.seconds
    ) -> list[_Measured]:
        """Measure candidates together; one by one where they cannot be, so that each has its own
        result."""
        if not choices:
            return []
        protocol = Protocol(1 + len(choices), self._processors(task), seconds)
        fits = task.weight_bytes * copies_for(task.weight_bytes) * protocol.arms < _MOST_BYTES
        if fits or len(choices) == 1:
            outcome = self._run(task, choices, protocol)
            if outcome.status == "ok" or len(choices) == 1:
                return [(c, outcome, _judged(outcome, arm)) for arm, c in enumerate(choices, 1)]
        return [alone for c in choices for alone in self._measured(task, (c,), seconds)]

    def _run(self, task: TuneTask, choices: Sequence[Choice], protocol: Protocol) -> Outcome:
        trial = Trial(
            function=function_to_json(task.func),
            constants=tuple(sorted(task.constants)),
            choices=tuple(choice.values() for choice in (task.base, *choices)),
            opencl="gpu" in protocol.processors,
            groups=self._stamp.groups,
            cpu=self._stamp.cpu,
            small=task.small,
        )
        return self._runner.run(trial, protocol)

    def _record(
        self, role: str, task: TuneTask, choice: Choice, outcome: Outcome, verdict: Judgement | None
    ) -> Record:
        status, message = outcome.status, outcome.message
        if verdict is not None and not verdict.error <= _TOLERANCE:
            status, message = "wrong", f"deviates by {verdict.error:.1e} from the default"
        return Record(
            role=role,
            task=task.key,
            baseline=task.baseline,
            what=task.what,
            processors=_joined(self._processors(task)),
            device=self._stamp.device,
            device_class=self._device_class(task),
            choice=choice.values(),
            status=status,
            ratio=verdict.ratio if verdict is not None else None,
            spread=verdict.spread if verdict is not None else None,
            times_us=verdict.times_us if verdict is not None else {},
            default_us=verdict.default_us if verdict is not None else {},
            error=verdict.error if verdict is not None else None,
            message=message,
            hetcomp=self._stamp.hetcomp,
            tvm=self._stamp.tvm,
            time=time.time(),
        )

    def _processors(self, task: TuneTask) -> tuple[str, ...]:
        """Those of the tuning that the task has kernels for."""
        wanted = self._stamp.processors
        return wanted if task.opencl else tuple(p for p in wanted if p != "gpu")

    def _device_class(self, task: TuneTask) -> str:
        return self._stamp.device_class if "gpu" in self._processors(task) else ""

    def _own(self, task: TuneTask) -> list[Record]:
        where = (self._stamp.device, self._device_class(task), _joined(self._processors(task)))
        return [
            record
            for record in self._database.records
            if (record.task, record.baseline) == (task.key, task.baseline)
            and (record.device, record.device_class, record.processors) == where
        ]

    def _trials(self, task: TuneTask) -> list[Record]:
        return [record for record in self._own(task) if record.role == "trial"]

    def _confirmed(self, task: TuneTask, trials: Sequence[Record]) -> bool:
        own = self._own(task)
        last = max(own.index(trial) for trial in trials)
        return any(record.role == "winner" for record in own[last:])

    def _samples(self, task: TuneTask) -> list[Sample]:
        records = [(record, point_of(task, record.choice)) for record in self._trials(task)]
        return [
            Sample(task, point, record.ratio if record.status == "ok" else None)
            for record, point in records
            if point is not None
        ]

    def _urgency(self, task: TuneTask) -> float:
        """Time spent in the task per candidate tried."""
        each = self._default_us(task) or task.flops / self._flops_per_us()
        return each * task.uses / (1 + len(self._trials(task)))

    def _default_us(self, task: TuneTask) -> float | None:
        return min(
            (sum(t.default_us.values()) for t in self._trials(task) if t.default_us), default=None
        )

    def _flops_per_us(self) -> float:
        """Speed of the tasks measured so far: a guess for the others."""
        times = [(task.flops, self._default_us(task)) for task in self._tasks]
        speeds = [flops / us for flops, us in times if us and flops]
        return median(speeds) if speeds else 1.0

    def _done(self) -> int:
        return sum(len(self._trials(task)) for task in self._tasks)

    def _out_of_time(self) -> bool:
        limit = self._options.time_limit_s
        return limit is not None and self._spent() > limit * (1 - _FINAL_PART)

    def _spent(self) -> float:
        return time.monotonic() - self._begin

    def _tell(self, stage: str, task: TuneTask, at_start: int) -> None:
        done = self._done()
        ratios = [t.ratio for t in self._trials(task) if t.status == "ok" and t.ratio]
        left = None
        if done > at_start:
            left = self._spent() / (done - at_start) * (self._options.trials - done)
            if self._options.time_limit_s is not None:
                left = min(left, self._options.time_limit_s - self._spent())
        total = self._options.trials
        self._report(State(stage, task.name, done, total, min(ratios, default=None), left))

    def _result(self, task: TuneTask) -> TaskResult:
        trials = self._trials(task)
        winners = [record for record in self._own(task) if record.role == "winner"]
        failures = sum(trial.status != "ok" for trial in trials)
        return TaskResult(task, len(trials), failures, winners[-1] if winners else None)


def _judged(outcome: Outcome, arm: int) -> Judgement | None:
    evaluation: Evaluation | None = outcome.evaluation
    return None if evaluation is None else judge(evaluation, arm, tolerance=_TOLERANCE)


def _joined(processors: Sequence[str]) -> str:
    return "+".join(processors)
