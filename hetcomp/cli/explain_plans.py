"""The plans of a model.so side by side: predicted by simulation, and measured where asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hetcomp.cli.output import number, print_table
from hetcomp.cli.timeline import Bar, Row, write_timeline
from hetcomp.errors import DeviceError, InputError
from hetcomp.plan.forecast import Forecast, noted_forecast
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.pace import pipeline_us
from hetcomp.plan.simulate import Simulation, Simulator
from hetcomp.plan.simulation_note import noted_simulator

if TYPE_CHECKING:
    from hetcomp.plan.plan import Plan
    from hetcomp.plan.table import StepTable
    from hetcomp.runtime.image import Image
    from hetcomp.runtime.records import RunProfile

__all__ = [
    "Comparison",
    "compare",
    "is_pipelined",
    "measure_plans",
    "print_candidates",
    "print_comparison",
    "simulate_pipeline",
    "simulate_plans",
    "write_timelines",
]

_COLUMNS = (
    "plan",
    "predicted ms",
    "measured ms",
    "cpu steps",
    "cpu busy ms",
    "cpu waits ms",
    "gpu steps",
    "gpu busy ms",
    "gpu waits ms",
)
_NPU_COLUMNS = ("npu steps", "npu busy ms")  # fmt: skip
_CANDIDATES = (
    "plan", "predicted ms", "measured ms", "over best single", "which is", "undisturbed rounds",
)  # fmt: skip
_REPS = 9
Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """One plan; times in microseconds, busy times and waits as predicted.

    None where not known.
    """

    plan: str
    predicted_us: float | None
    measured_us: float | None
    cpu_steps: int
    cpu_busy_us: float | None
    cpu_wait_us: float | None
    gpu_steps: int
    gpu_busy_us: float | None
    gpu_wait_us: float | None
    npu_steps: int
    npu_busy_us: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def simulate_plans(image: Image, forecast: Forecast | None = None) -> tuple[Simulation, ...]:
    """Every plan by `forecast`, else as predicted when compiling.

    None where no times are known, and none of plans with tasks on the NPU that were not timed
    there.
    """
    simulator = _simulator(image, forecast)
    if simulator is None:
        return ()
    return tuple(simulator.run(table) for table in image.tables if simulator.knows(table))


def is_pipelined(image: Image) -> bool:
    """Whether `load(pipeline="auto")` runs it as a pipeline."""
    return bool(image.build.get("objective") == "throughput")


def simulate_pipeline(image: Image, forecast: Forecast | None = None) -> float | None:
    """Predicted time from one result of a pipeline to the next in microseconds, if known."""
    simulator = _simulator(image, forecast)
    tables = {table.name: table for table in image.tables}
    if simulator is None or not {"cpu", "gpu"} <= tables.keys():
        return None
    cpu, gpu = simulator.run(tables["cpu"]), simulator.run(tables["gpu"])
    return pipeline_us(cpu, gpu, simulator.contention)


def _simulator(image: Image, forecast: Forecast | None) -> Simulator | None:
    if forecast:
        return forecast.simulator(image.graph)
    note = image.build.get("simulation")
    if note and (simulator := noted_simulator(image.graph, note)):
        return simulator
    noted = noted_forecast(image.graph, image.plans)
    return noted.simulator(image.graph) if noted else None


def measure_plans(path: Path, image: Image) -> dict[str, RunProfile]:
    """The median of several traced inferences of every plan on this machine.

    Raises
    ------
    DeviceError
        A plan needs the OpenCL device, which does not serve.
    """
    from hetcomp.runtime import load

    found: dict[str, RunProfile] = {}
    with load(path, quiet=True) as session:
        for plan, table in zip(image.plans, image.tables, strict=True):
            session.use_plan(plan.name)
            if table.gpu and session.status().why_no_gpu:
                raise DeviceError(session.status().why_no_gpu)
            runs = sorted(session.profile(_REPS).runs, key=lambda run: run.total_us)
            found[plan.name] = runs[len(runs) // 2]
    return found


def compare(
    image: Image, simulations: Sequence[Simulation], measured: Mapping[str, RunProfile]
) -> tuple[Comparison, ...]:
    """A row a plan, the one with the least predicted time first; none where no time is known."""
    predicted = {simulation.plan: simulation for simulation in simulations}
    rows = [
        _comparison(plan, table, predicted.get(plan.name), measured.get(plan.name))
        for plan, table in zip(image.plans, image.tables, strict=True)
    ]
    if all(row.predicted_us is None and row.measured_us is None for row in rows):
        return ()
    return tuple(sorted(rows, key=lambda row: row.predicted_us or row.measured_us or math.inf))


def _comparison(
    plan: Plan, table: StepTable, simulation: Simulation | None, run: RunProfile | None
) -> Comparison:
    return Comparison(
        plan=plan.name,
        predicted_us=simulation.makespan_us if simulation else None,
        measured_us=run.total_us if run else plan.measured_us,
        cpu_steps=len(table.cpu),
        cpu_busy_us=simulation.cpu.busy_us if simulation else None,
        cpu_wait_us=simulation.cpu.wait_us if simulation else None,
        gpu_steps=len(table.gpu),
        gpu_busy_us=simulation.gpu.busy_us if simulation else None,
        gpu_wait_us=simulation.gpu.wait_us if simulation else None,
        npu_steps=len(table.npu),
        npu_busy_us=simulation.npu.busy_us if simulation else None,
    )


def print_comparison(rows: Sequence[Comparison]) -> None:
    """Print the rows as a table."""
    cells: list[tuple[str, ...]] = [
        (
            row.plan, _ms(row.predicted_us), _ms(row.measured_us),
            str(row.cpu_steps), _ms(row.cpu_busy_us), _ms(row.cpu_wait_us),
            str(row.gpu_steps), _ms(row.gpu_busy_us), _ms(row.gpu_wait_us),
        )
        for row in rows
    ]  # fmt: skip
    columns: tuple[str, ...] = _COLUMNS
    if any(row.npu_steps for row in rows):
        columns += _NPU_COLUMNS
        cells = [
            (*cell, str(row.npu_steps), _ms(row.npu_busy_us))
            for cell, row in zip(cells, rows, strict=True)
        ]
    print_table("plans compared", columns, cells, right=columns[1:])


def print_candidates(records: Sequence[Mapping[str, Any]]) -> None:
    """Print the plans that were timed when compiling, those that were dropped included."""
    cells = [
        (
            record["plan"], _ms(record["predicted_us"]), _ms(record["measured_us"]),
            f"{record['ratio_to_best_single']:.3f}",
            "measured" if record["ratio_is_measured"] else "predicted",
            f"{record['calm_rounds']} of {record['rounds']}",
        )
        for record in records
    ]  # fmt: skip
    print_table("candidates when compiling", _CANDIDATES, cells, right=_CANDIDATES[1:])


def write_timelines(
    path: Path, image: Image, simulations: Sequence[Simulation], measured: Mapping[str, RunProfile]
) -> None:
    """Write a lane a processor and plan as predicted, and as measured where that was done."""
    rows: list[Row] = []
    predicted = {simulation.plan: simulation for simulation in simulations}
    for table in image.tables:
        spans: list[tuple[str, Sequence[int], Sequence[Interval]]] = []
        if found := predicted.get(table.name):
            spans += [
                (f"{name} predicted", lane.tasks, [span[:2] for span in lane.spans])
                for name, lane in (("cpu", found.cpu), ("gpu", found.gpu), ("npu", found.npu))
            ]
        if run := measured.get(table.name):
            tasks = [step.task for step in table.cpu], [step.task for step in table.gpu]
            spans.append(("cpu measured", tasks[0], [(s.start_us, s.end_us) for s in run.cpu]))
            spans.append(("gpu measured", tasks[1], _gpu_intervals(table, run)))
            regions = [step.tasks[0] for step in table.npu]
            spans.append(("npu measured", regions, _npu_intervals(run)))
        rows += [
            _row(image.graph, f"{table.name}: {title}", tasks, intervals)
            for title, tasks, intervals in spans
            if intervals
        ]
    if not rows:
        raise InputError("no times are known: compile with --plan auto, or give --measure")
    write_timeline(path, f"{image.graph.name}: plans", rows)


def _gpu_intervals(table: StepTable, run: RunProfile) -> list[Interval]:
    """A GPU step starts when its predecessor and the CPU step that it waits for have ended.

    The CPU notices ends only; of steps whose end it missed nothing is drawn.
    """
    found, before_us = [], 0.0
    for step, end_us in zip(table.gpu, run.gpu_end_us, strict=True):
        released_us = run.cpu[step.wait - 1].end_us if step.wait else 0.0
        start_us = max(before_us, released_us)
        found.append((min(start_us, end_us), end_us) if end_us >= 0.0 else (start_us, start_us))
        before_us = max(start_us, end_us)
    return found


def _npu_intervals(run: RunProfile) -> list[Interval]:
    """Nothing is drawn of regions that the CPU took over."""
    return [(span.start_us, span.end_us) if span else (0.0, 0.0) for span in run.npu]


def _row(graph: TaskGraph, title: str, tasks: Sequence[int], intervals: Sequence[Interval]) -> Row:
    return Row(
        title,
        tuple(
            Bar(graph.tasks[task].name, graph.tasks[task].kind, *interval)
            for task, interval in zip(tasks, intervals, strict=True)
        ),
    )


def _ms(time_us: float | None) -> str:
    return number(None if time_us is None else time_us / 1e3, 3)
