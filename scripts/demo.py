"""`make demo`: compiles a real network, co-executes it, validates it, shows placement and gain."""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
import onnx
from rich.console import Console
from rich.table import Table

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.peers import onnxruntime_run
from hetcomp.bench.reference import TOLERANCE, Array, compare, reference_outputs
from hetcomp.bench.timing import Arm, Samples, TimingOptions, interleave, ratio
from hetcomp.cli.output import progress_bar
from hetcomp.plan.graph import Task
from hetcomp.plan.plan import Decision, Place
from hetcomp.plan.transfer import share_of

FOLDER = Path("build/demo")
HEAVIEST = 5
LOAD_SECONDS, LOAD_LIMIT = 1.0, 0.3
TIMING = TimingOptions(rounds=10, reps=4, cap_seconds=20.0)
QUICK = TimingOptions(rounds=2, reps=1, cap_seconds=1.0)
Feeds = Mapping[str, Array]
WHO = {Place.CPU: "the CPU alone", Place.GPU: "the OpenCL device alone", Place.SPLIT: "both"}


@click.command()
@click.option("--network", default="resnet50", show_default=True, help="One of the model zoo.")
@click.option("--small", is_flag=True, help="A small version, timed briefly; for tests.")
def main(network: str, small: bool) -> None:
    """Compile a network, run it on both processors, validate it and show what that gains."""
    folder = FOLDER.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{network}.onnx"
    model = zoo.build(network, **(zoo.small_size(network) if small else {}))
    onnx.save(model, path)
    feeds = zoo.random_inputs(model)
    _say_load()
    artifact = _compile(path)
    with hetcomp.load(artifact.path, quiet=True) as session:
        right = _validate(path, session, feeds)
    both = _say_processors(artifact.path)
    _show_placement(artifact)
    _show_times(path, artifact, feeds, both, QUICK if small else TIMING)
    shown = artifact.path.relative_to(Path.cwd())
    click.echo(f"\nEvery task with its reason: .venv/bin/hetcomp explain {shown}")
    sys.exit(0 if right else 1)


def _say_load() -> None:
    """Warn where other programs keep the processors busy: plan and times would suffer."""
    before = _busy_ticks()
    time.sleep(LOAD_SECONDS)
    busy = (_busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / LOAD_SECONDS
    if busy > LOAD_LIMIT:
        click.echo(
            f"Other programs are using {busy:.1f} of this machine's {os.cpu_count()} processors: "
            "the plan is made, and the times are taken, under that load."
        )


def _busy_ticks() -> int:
    """Clock ticks that all processors together have worked since the machine started."""
    user, nice, system = Path("/proc/stat").read_text().split(maxsplit=4)[1:4]
    return int(user) + int(nice) + int(system)


def _compile(path: Path) -> hetcomp.Artifact:
    click.echo(f"Compiling {path.stem} and measuring it on this machine ...")
    with progress_bar() as progress:
        artifact = hetcomp.compile(path, output=path.with_suffix(".so"), progress=progress)
    size_mb = artifact.path.stat().st_size / 1e6
    seconds = sum(artifact.seconds.values())
    click.echo(f"One file came out after {seconds:.0f} s: {artifact.path} ({size_mb:.0f} MB).")
    return artifact


def _validate(path: Path, session: hetcomp.Session, feeds: Feeds) -> bool:
    errors = compare(session.run(feeds), reference_outputs(path, feeds))
    for error in errors:
        verdict = "right" if error.ok else "WRONG"
        click.echo(
            f"Output '{error.name}' is {verdict}: at most {error.max_relative_error:.1e} from "
            f"ONNX Runtime's, relative to its largest value ({TOLERANCE:.0e} is allowed)."
        )
    return all(error.ok for error in errors)


def _say_processors(path: Path) -> bool:
    """Say what the model can run on here; returns whether that is more than the CPU."""
    with hetcomp.load(path, quiet=True) as session:
        if any(plan.name == "gpu" for plan in session.image.plans):
            session.use_plan("gpu")
        status = session.status()
    if status.tier == "cpu":
        click.echo(f"There is nothing to share with, so the CPU runs it: {status.why_no_gpu}.")
        return False
    click.echo(f"Beside the CPU there is an OpenCL device: {status.device} ({status.platform}).")
    if status.device_is_cpu:
        click.echo("It is a CPU too, so the CPU's part is given one core and the device's another.")
    return True


def _show_placement(artifact: hetcomp.Artifact) -> None:
    decisions = {decision.task: decision for decision in artifact.plan.decisions}
    pairs = [(task, decisions[task.name]) for task in artifact.graph.tasks]
    groups: dict[Place, list[tuple[Task, Decision]]] = defaultdict(list)
    for pair in pairs:
        groups[pair[1].place].append(pair)
    total = sum(task.flops for task, _ in pairs) or 1
    who = Table(title="Who runs what", title_justify="left")
    for column in ("who", "tasks", "of the work", "mean CPU share"):
        who.add_column(column, justify="left" if column == "who" else "right")
    for place, group in groups.items():
        work = sum(task.flops for task, _ in group) / total
        mean = sum(share_of(*pair).cpu for pair in group) / len(group)
        who.add_row(WHO[place], str(len(group)), f"{work:.0%}", f"{mean:.0%}")
    heavy = Table(title=f"The {HEAVIEST} heaviest tasks", title_justify="left")
    for column in (
        "task",
        "CPU share",
        "cut by",
        "CPU alone µs",
        "OpenCL alone µs",
        "as planned µs",
    ):
        heavy.add_column(column, justify="left" if column in ("task", "cut by") else "right")
    for task, decision in sorted(pairs, key=_weight, reverse=True)[:HEAVIEST]:
        axis = decision.axis.value if decision.place is Place.SPLIT else "-"
        times = (decision.cpu_us, decision.gpu_us, decision.predicted_us)
        cells = ["-" if time is None else f"{time:.0f}" for time in times]
        heavy.add_row(task.name, f"{share_of(task, decision).cpu:.0%}", axis, *cells)
    console = Console(width=100 if not sys.stdout.isatty() else None)
    console.print("", who, heavy)


def _weight(pair: tuple[Task, Decision]) -> tuple[float, float]:
    """Measured time where there is one, else arithmetic."""
    task, decision = pair
    return decision.cpu_us or 0.0, task.flops


def _show_times(
    model: Path, artifact: hetcomp.Artifact, feeds: Feeds, both: bool, timing: TimingOptions
) -> None:
    """Time our plans and ONNX Runtime in turns, in this one process."""
    with ExitStack() as stack, progress_bar() as progress:
        arms = []
        for plan in ("auto", "cpu", "gpu") if both else ("auto",):
            session = stack.enter_context(hetcomp.load(artifact.path, plan=plan, quiet=True))
            arms.append(Arm(plan, partial(session.run, feeds)))
        arms += [Arm(f"ort{n}", onnxruntime_run(model, feeds, n)) for n in (1, 2)]
        found = {samples.name: samples for samples in interleave(arms, timing, progress)}
    click.echo(f"One inference of the compiled model takes {_time(found['auto'])}.")
    if both:
        _say_gain(found, {decision.place for decision in artifact.plan.decisions})
    click.echo(
        f"ONNX Runtime takes {_time(found['ort1'])} with one thread and {_time(found['ort2'])} "
        "with two.\n"
        f"(All took turns in this process, {len(found['auto'].all_ms)} inferences each: the "
        "median, and the 10th to the 90th percentile.)"
    )


def _say_gain(found: Mapping[str, Samples], places: set[Place]) -> None:
    best = min(("cpu", "gpu"), key=lambda plan: found[plan].median_ms)
    gain = ratio(found[best], found["auto"])
    click.echo(
        f"The CPU alone takes {_time(found['cpu'])}, the OpenCL device alone {_time(found['gpu'])}."
    )
    if len(places) == 1 and Place.SPLIT not in places:
        click.echo("Sharing gains nothing here: the fastest plan measured uses one of them only.")
        return
    click.echo(
        f"So working together is {gain.median:.2f} times as fast as the better one alone "
        f"({gain.p10:.2f} to {gain.p90:.2f} from round to round)."
    )


def _time(samples: Samples) -> str:
    low, high = samples.percentile_ms(10), samples.percentile_ms(90)
    return f"{samples.median_ms:.2f} ms ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
