"""One layer: both processors and parts of it timed, planned, searched; finalists compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from hetcomp.bench.layer_chain import LayerChain
from hetcomp.bench.planner_choice import (
    all_splits,
    all_tickets,
    alone,
    halves,
    neighbours,
    planned,
    predict_us,
    share_text,
    steps_of,
)
from hetcomp.bench.planner_layers import Layer
from hetcomp.bench.planner_rows import GridPoint, PlannerRow
from hetcomp.cost.costs import Costs, PartTime, TaskCost
from hetcomp.cost.work import Part
from hetcomp.exclusive import exclusive
from hetcomp.plan.candidates import parts_of
from hetcomp.plan.forecast import Forecast, measured_forecast
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Decision

__all__ = ["Contest", "Source"]

_NEAR = 1.1
"""Shares within this factor of the search's best are searched again."""
_FINALISTS = 3
_WHOLE_ROUNDS, _SEARCH_REPS = 5, 2


Source = Callable[[TaskGraph], Forecast]
"""Knows a graph without running it."""


class Contest:
    """The layer of a chain.

    Parameters
    ----------
    chain
        Copies of the layer.
    source
        Where the plan's times come from; None: whole layer and halves are measured here.
    lock
        See `hetcomp.exclusive.exclusive`; held for one placement of the search, or one round.
    tier
        How the chain's processors wait for each other.
    quick
        Fewer samples.
    """

    def __init__(
        self,
        chain: LayerChain,
        source: Source | None,
        lock: Path | None,
        *,
        tier: str,
        quick: bool,
    ) -> None:
        self._chain, self._task, self._source = chain, chain.task, source
        self._lock, self._tier = lock, tier
        self._rounds, self._reps = (4, 2) if quick else (9, 3)
        self._cpu, self._gpu = alone(self._task)
        self._searched: dict[Decision, list[float]] = {}
        self._tickets: dict[Decision, list[float]] = {}
        self._finals: dict[Decision, list[float]] = {}
        self._about_us = 1e3

    def search(self) -> None:
        """Plan, and time the whole grid and tickets."""
        self._about_us = self._time(self._cpu)
        self._plan_by(self._source(self._chain.graph) if self._source else self._measured())
        self._once(self._cpu, self._gpu, *all_splits(self._task))
        for _ in range(2):
            self._once(*neighbours(self._task, self._best(1)[0]))
            self._once(*self._near())
            for decision in all_tickets(self._chain.graph):
                self._tickets.setdefault(decision, []).append(self._time(decision))

    def compare(self) -> None:
        """Time the finalists in turns, each round beginning with another one."""
        arms = list(dict.fromkeys((self._cpu, self._gpu, self.plan, *self._best(_FINALISTS))))
        arms += _fastest(self._tickets, 1)
        for number in range(self._rounds):
            first = number % len(arms)
            with exclusive(self._lock):
                for arm in (*arms[first:], *arms[:first]):
                    self._finals.setdefault(arm, []).append(median(self._run(arm, self._reps)))

    def row(self, layer: Layer, cache_bytes: int) -> PlannerRow:
        """What was found."""
        task, kernel = self._task, self._chain.graph.kernels[0]
        time_us = {arm: median(samples) for arm, samples in self._finals.items()}
        ticketed = next(iter(_fastest(self._tickets, 1)), None)
        static = [arm for arm in time_us if arm != ticketed]
        oracle = max(static, key=self._speedup)
        plan_us, predicted_us = time_us[self.plan], self._predicted_us[self.plan]
        low, high = np.percentile(self._finals[self.plan], (10, 90))
        gain, most = self._speedup(self.plan), self._speedup(oracle)
        chain_bytes = layer.layer_bytes * len(self._chain.graph.tasks)
        return PlannerRow(
            model=layer.model,
            layer=layer.name,
            kind=task.kind,
            variant=kernel.variant,
            text=layer.text,
            key=layer.key,
            tier=self._tier,
            mflop=task.flops / 1e6,
            weight_bytes=task.weight_bytes,
            layer_bytes=layer.layer_bytes,
            chain_bytes=chain_bytes,
            cpu_us=time_us[self._cpu],
            gpu_us=time_us[self._gpu],
            plan=share_text(task, self.plan),
            plan_predicted_us=predicted_us,
            plan_us=plan_us,
            plan_p10_us=float(low),
            plan_p90_us=float(high),
            oracle=share_text(task, oracle),
            oracle_us=time_us[oracle],
            speedup_plan=gain,
            speedup_oracle=most,
            share_of_oracle=gain / most,
            tickets=share_text(task, ticketed) if ticketed else "",
            speedup_tickets=self._speedup(ticketed) if ticketed else None,
            error_percent=_error_percent(predicted_us, plan_us),
            single_error_percent=self._single_error(time_us),
            cache_effect=_cache_effect(most, task.weight_bytes, chain_bytes, cache_bytes),
            rounds=self._rounds,
            grid=self._grid(),
        )

    def _measured(self) -> Forecast:
        """Times of the layer and of its halves on either processor, as `compile` takes them."""
        graph = self._chain.graph
        wholes = [parts_of(0, self._task, arm) for arm in (self._cpu, self._gpu)]
        parts = [*wholes, *map(_side, halves(self._task))]
        samples: list[list[float]] = [[] for _ in parts]
        for _ in range(_WHOLE_ROUNDS):
            for pair, found in zip(parts, samples, strict=True):
                with exclusive(self._lock):
                    found.append(min(self._chain.times_us(*pair, self._about_us, _SEARCH_REPS)))
        times = [median(found) for found in samples]
        measured = [
            PartTime(part, time_us)
            for part, time_us in zip(halves(self._task), times[2:], strict=True)
        ]
        costs = Costs((TaskCost(times[0], times[1]),) * len(graph.tasks), parts=tuple(measured))
        return measured_forecast(graph, costs, self._tier)

    def _plan_by(self, forecast: Forecast) -> None:
        splits = all_splits(self._task)
        near = (other for split in splits for other in neighbours(self._task, split))
        grid = tuple(dict.fromkeys((self._cpu, self._gpu, *splits, *near)))
        predicted = predict_us(
            self._chain.graph, grid, forecast.times, forecast.sync, forecast.contention
        )
        self._predicted_us = dict(zip(grid, predicted.tolist(), strict=True))
        options = planned(self._chain.graph, forecast.costs)
        self.plan = min(options, key=lambda option: self._predicted_us[option])

    def _time(self, decision: Decision) -> float:
        with exclusive(self._lock):
            return min(self._run(decision, _SEARCH_REPS))

    def _run(self, decision: Decision, reps: int) -> list[float]:
        cpu, gpu, ticket = steps_of(self._task, decision)
        return self._chain.times_us(cpu, gpu, self._about_us, reps, ticket=ticket)

    def _once(self, *decisions: Decision) -> None:
        """One more sample of each of `decisions`."""
        for decision in decisions:
            self._searched.setdefault(decision, []).append(self._time(decision))

    def _best(self, count: int) -> list[Decision]:
        """The search's best."""
        return _fastest(self._searched, count)

    def _near(self) -> list[Decision]:
        limit = _NEAR * min(min(samples) for samples in self._searched.values())
        return [d for d, samples in self._searched.items() if min(samples) <= limit]

    def _speedup(self, arm: Decision) -> float:
        """Over the better single processor: median of the ratios within rounds."""
        single = min((self._cpu, self._gpu), key=lambda one: median(self._finals[one]))
        pairs = zip(self._finals[single], self._finals[arm], strict=True)
        return median(alone_us / own_us for alone_us, own_us in pairs)

    def _single_error(self, time_us: dict[Decision, float]) -> float | None:
        if self._source is None:
            return None
        errors = [
            _error_percent(self._predicted_us[arm], time_us[arm]) for arm in (self._cpu, self._gpu)
        ]
        return sum(errors) / len(errors)

    def _grid(self) -> tuple[GridPoint, ...]:
        return tuple(
            GridPoint(share_text(self._task, d), min(samples), self._predicted_us[d])
            for d, samples in self._searched.items()
        )


def _fastest(samples: Mapping[Decision, Sequence[float]], count: int) -> list[Decision]:
    return sorted(samples, key=lambda decision: min(samples[decision]))[:count]


def _side(part: Part) -> tuple[Part | None, Part | None]:
    """`part` on its processor, nothing on the other."""
    return (part, None) if part.processor == "cpu" else (None, part)


def _error_percent(predicted_us: float, measured_us: float) -> float:
    return 100.0 * abs(predicted_us / measured_us - 1.0)


def _cache_effect(speedup: float, weights: int, chain_bytes: int, cache_bytes: int) -> bool:
    """Whether caches may have part in a gain, see `PlannerRow`."""
    halves_fit = weights / 2 <= cache_bytes < weights
    return speedup > 2.0 or halves_fit or chain_bytes <= 2 * cache_bytes
