"""`hetcomp bench planner`: the planner's choice for a layer against an exhaustive search.

For every layer both processors alone are timed, the planner chooses by its prediction, and the
whole grid of shares is timed, along rows and along channels: once all, then those within a tenth of
the best again. In the end the best three, the plan and both processors are timed in turns; only
these times count. So the search cannot win by one lucky sample, and the plan never beats the
oracle, the largest median gain of them all, which may be the plan's.

What chooses is the prediction of one layer's time, over the placements that the planner considers.
The planner's search over whole networks has no part in it, nor have waking the device and handing
over between layers, which the times leave out too. How one layer is timed:
`hetcomp.bench.layer_chain`.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import hetcomp
from hetcomp.bench.layer_chain import LayerChain, l2_bytes
from hetcomp.bench.networks import Failure, Progress, Results, over_networks, silent
from hetcomp.bench.planner_contest import Contest, Source
from hetcomp.bench.planner_layers import Layer, build_chain, layers_of, spread
from hetcomp.bench.planner_rows import PlannerOptions, PlannerRow
from hetcomp.cost.profile_file import check_machine
from hetcomp.devices import describe_devices, fingerprint
from hetcomp.errors import DeviceError
from hetcomp.plan.forecast import profile_forecast
from hetcomp.runtime import Session

__all__ = ["bench_planner"]


def bench_planner(options: PlannerOptions, progress: Progress | None = None) -> Results[PlannerRow]:
    """Measure the chosen layers under every tier; a layer that fails is noted.

    Raises
    ------
    ProfileError
        The profile to plan by is another device's.
    """
    report = progress or silent
    if options.profile:
        device = fingerprint(describe_devices(), pinned=True)
        check_machine(options.profile, device, "the profile to plan by")  # both pin alike
    layers, failed = _layers(options, lambda text, part: report(text, 0.2 * part))
    records = _Records(options)
    named = {f"{layer.model} {layer.name}": layer for layer in layers}

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
    """Rows measured before by this version on this device, as often and planned alike.

    New ones are added to the file; lines that are no such rows are passed over.
    """

    def __init__(self, options: PlannerOptions) -> None:
        self._path = path = options.records
        self._stamp = {
            "device": fingerprint(describe_devices(), pinned=True),
            "hetcomp": hetcomp.__version__,
            "quick": options.quick,
            "planned_by": options.planned_by,
        }
        self._rows: dict[tuple[str, str], PlannerRow] = {}
        for line in path.read_bytes().splitlines() if path and path.exists() else []:
            with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
                self._take(json.loads(line))

    def get(self, key: str, tier: str) -> PlannerRow | None:
        return self._rows.get((key, tier))

    def add(self, row: PlannerRow) -> None:
        if self._path:
            with self._path.open("a+b") as file:
                file.write(b"\n" if _is_cut_off(file) else b"")
                file.write(json.dumps({**self._stamp, "row": row.to_json()}).encode() + b"\n")

    def _take(self, data: dict[str, Any]) -> None:
        if {name: data[name] for name in self._stamp} == self._stamp:
            row = PlannerRow.from_json(data["row"])
            self._rows[row.key, row.tier] = row


def _is_cut_off(file: IO[bytes]) -> bool:
    """Whether the last line of `file` has no end."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    return file.read(1) not in (b"", b"\n")


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
        contest = Contest(
            LayerChain(session),
            _source(options, tier),
            options.lock,
            tier=tier,
            quick=options.quick,
        )
        report("searching", 0.5)
        contest.search()
        report("comparing", 0.8)
        contest.compare()
        if session.status().device_bad:
            raise DeviceError(session.status().why_no_gpu)
        row = contest.row(layer, cache_bytes)
    records.add(row)
    return row


def _source(options: PlannerOptions, tier: str) -> Source | None:
    profile = options.profile
    return None if profile is None else lambda graph: profile_forecast(graph, profile, tier)


def _load(path: Path, tier: str) -> Session:
    session = hetcomp.load(path, plan="gpu", pin="on", tier=tier, quiet=True)
    status = session.status()
    if status.tier != tier:
        session.close()
        raise DeviceError(f"tier '{tier}' is not to be had here: {status.why_no_gpu}")
    return session
