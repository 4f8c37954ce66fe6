"""`hetcomp bench planner`: the planner's choice for a layer against an exhaustive search.

For every layer both processors alone are timed, the planner chooses by its prediction, and the
whole grid of shares is timed, along rows and along channels: once all, then those within a tenth of
the best again. In the end the best three, the plan and both processors are timed in turns; only
these times count. So the search cannot win by one lucky sample, and the plan never beats the
oracle, which may be the plan. How one layer is timed: `hetcomp.bench.layer_chain`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np

import hetcomp
from hetcomp.bench.layer_chain import LayerChain, l2_bytes
from hetcomp.bench.networks import Failure, Progress, Results, over_networks, silent
from hetcomp.bench.planner_choice import all_splits, alone, neighbours, predict_us, share_text
from hetcomp.bench.planner_layers import Layer, build_chain, layers_of, spread
from hetcomp.bench.planner_rows import GridPoint, PlannerOptions, PlannerRow
from hetcomp.cost.costs import Costs, SyncCost, TaskCost
from hetcomp.devices import describe_devices, fingerprint
from hetcomp.errors import DeviceError
from hetcomp.exclusive import exclusive
from hetcomp.plan.plan import Decision
from hetcomp.plan.simulate import measured_times
from hetcomp.runtime import Session

__all__ = ["bench_planner"]

_NEAR = 1.1
"""Shares within this factor of the search's best are searched again."""
_FINALISTS = 3


def bench_planner(options: PlannerOptions, progress: Progress | None = None) -> Results[PlannerRow]:
    """Measure the chosen layers under every tier; a layer that fails is noted.

    Raises
    ------
    DeviceError
        There is no OpenCL device that serves.
    """
    report = progress or silent
    layers, failed = _layers(options, lambda text, part: report(text, 0.2 * part))
    records = _Records(options.records)
    named = {f"{layer.model} {layer.task.name}": layer for layer in layers}

    def measured(name: str, part: Progress) -> list[PlannerRow]:
        return [_row(named[name], tier, options, records, part) for tier in options.tiers]

    results = over_networks(
        tuple(named), measured, lambda text, part: report(text, 0.2 + 0.8 * part)
    )
    return Results(results.rows, (*failed, *results.failed))


def _layers(options: PlannerOptions, report: Progress) -> tuple[list[Layer], Sequence[Failure]]:
    def layers(name: str, part: Progress) -> Sequence[Layer]:
        part("looking for layers", 0.0)
        return layers_of(name, options.kinds, options.min_mflop)

    found = over_networks(options.models, layers, report)
    distinct = {layer.key: layer for layer in reversed(found.rows)}
    return list(spread(tuple(distinct.values()), options.layers)), found.failed


class _Records:
    """Rows that were measured before on this device, and a file to which new ones are added."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._device = fingerprint(describe_devices(), pinned=True)
        self._rows: dict[tuple[str, str], PlannerRow] = {}
        lines = path.read_text().splitlines() if path and path.exists() else []
        for data in map(json.loads, lines):
            if data["device"] == self._device:
                row = PlannerRow.from_json(data["row"])
                self._rows[row.key, row.tier] = row

    def get(self, key: str, tier: str) -> PlannerRow | None:
        return self._rows.get((key, tier))

    def add(self, row: PlannerRow) -> None:
        if self._path:
            with self._path.open("a") as file:
                file.write(json.dumps({"device": self._device, "row": row.to_json()}) + "\n")


def _row(
    layer: Layer, tier: str, options: PlannerOptions, records: _Records, report: Progress
) -> PlannerRow:
    if known := records.get(layer.key, tier):
        return known
    cache_bytes = l2_bytes()
    with tempfile.TemporaryDirectory(prefix="hetcomp-bench-") as folder, ExitStack() as stack:
        path = Path(folder) / "layer.so"
        report("building", 0.0)
        build_chain(layer, cache_bytes, path)
        report("loading", 0.3)
        session = stack.enter_context(_load(path, tier))
        contest = _Contest(LayerChain(session), options.quick)
        with exclusive(options.lock):
            report("searching", 0.5)
            contest.search()
            report("comparing", 0.8)
            contest.compare()
        row = contest.row(layer, session.status().tier, cache_bytes)
    records.add(row)
    return row


def _load(path: Path, tier: str) -> Session:
    session = hetcomp.load(path, plan="gpu", pin="on", quiet=True)
    status = session.status()
    if status.tier != tier:
        session.close()
        raise DeviceError(f"tier '{tier}' is not to be had here: {status.why_no_gpu}")
    return session


class _Contest:
    """One layer: searched, then the finalists and the plan compared."""

    def __init__(self, chain: LayerChain, quick: bool) -> None:
        self._chain, self._task = chain, chain.task
        self._rounds, self._reps = (4, 2) if quick else (9, 3)
        self._searched: dict[Decision, list[float]] = {}
        self._finals: dict[Decision, list[float]] = {}
        self._about_us = 1e3

    def search(self) -> None:
        """Time both processors alone, choose, and time the whole grid."""
        self._cpu, self._gpu = alone(self._task)
        self._about_us = self._once(self._cpu)
        for _ in range(3):
            self._once(self._cpu, self._gpu)
        self._choose()
        self._once(*all_splits(self._task))
        for _ in range(2):
            self._once(*neighbours(self._task, self._best(1)[0]))
            self._once(*self._near())

    def compare(self) -> None:
        """Time the finalists in turns, each round beginning with another one."""
        arms = list(dict.fromkeys((self._cpu, self._gpu, self.plan, *self._best(_FINALISTS))))
        for number in range(self._rounds):
            for turn in range(len(arms)):
                arm = arms[(turn + number) % len(arms)]
                samples = self._chain.times_us(arm, self._about_us, self._reps)
                self._finals.setdefault(arm, []).append(median(samples))

    def row(self, layer: Layer, tier: str, cache_bytes: int) -> PlannerRow:
        """What was found."""
        task, kernel = self._task, self._chain.graph.kernels[0]
        time_us = {arm: median(samples) for arm, samples in self._finals.items()}
        oracle = min(time_us, key=lambda arm: time_us[arm])
        plan_us = time_us[self.plan]
        low, high = np.percentile(self._finals[self.plan], (10, 90))
        speedup_plan, speedup_oracle = self._speedup(self.plan), self._speedup(oracle)
        chain_bytes = layer.layer_bytes * len(self._chain.graph.tasks)
        weights = task.weight_bytes
        return PlannerRow(
            model=layer.model,
            layer=layer.task.name,
            kind=task.kind,
            variant=kernel.variant,
            text=layer.task.what,
            key=layer.key,
            tier=tier,
            mflop=task.flops / 1e6,
            weight_bytes=weights,
            layer_bytes=layer.layer_bytes,
            chain_bytes=chain_bytes,
            cpu_us=time_us[self._cpu],
            gpu_us=time_us[self._gpu],
            plan=share_text(task, self.plan),
            plan_predicted_us=self._predicted_us[self.plan],
            plan_us=plan_us,
            plan_p10_us=float(low),
            plan_p90_us=float(high),
            oracle=share_text(task, oracle),
            oracle_us=time_us[oracle],
            speedup_plan=speedup_plan,
            speedup_oracle=speedup_oracle,
            share_of_oracle=min(1.0, speedup_plan / speedup_oracle),
            error_percent=100 * abs(self._predicted_us[self.plan] / plan_us - 1),
            single_error_percent=None,
            cache_effect=(
                max(speedup_plan, speedup_oracle) > 2.0
                or weights / 2 <= cache_bytes < weights
                or chain_bytes <= 2 * cache_bytes
            ),
            rounds=self._rounds,
            grid=self._grid(),
        )

    def _once(self, *decisions: Decision) -> float:
        """One more sample of each of `decisions`; the least of the last one's."""
        best = 0.0
        for decision in decisions:
            samples = self._searched.setdefault(decision, [])
            samples.append(min(self._chain.times_us(decision, self._about_us, 2)))
            best = min(samples)
        return best

    def _choose(self) -> None:
        """What the planner takes by the times of either processor alone."""
        cpu_us, gpu_us = (median(self._searched[arm]) for arm in (self._cpu, self._gpu))
        costs = Costs((TaskCost(cpu_us, gpu_us),) * len(self._chain.graph.tasks))
        sync = SyncCost()
        times = measured_times(self._chain.graph, costs, sync)
        options = (self._cpu, self._gpu, *all_splits(self._task))
        options += tuple(n for option in options for n in neighbours(self._task, option))
        predicted = predict_us(self._task, options, times, sync)
        self._predicted_us = dict(zip(options, predicted.tolist(), strict=True))
        self.plan = min(options, key=lambda option: self._predicted_us[option])

    def _best(self, count: int) -> list[Decision]:
        """The search's best."""
        return sorted(self._searched, key=lambda d: min(self._searched[d]))[:count]

    def _near(self) -> list[Decision]:
        limit = _NEAR * min(min(samples) for samples in self._searched.values())
        return [d for d, samples in self._searched.items() if min(samples) <= limit]

    def _speedup(self, arm: Decision) -> float:
        """Over the better single processor: median of the ratios within rounds."""
        singles = min((self._cpu, self._gpu), key=lambda single: median(self._finals[single]))
        pairs = zip(self._finals[singles], self._finals[arm], strict=True)
        return median(single / own for single, own in pairs)

    def _grid(self) -> tuple[GridPoint, ...]:
        return tuple(
            GridPoint(share_text(self._task, d), min(samples), self._predicted_us[d])
            for d, samples in self._searched.items()
        )
