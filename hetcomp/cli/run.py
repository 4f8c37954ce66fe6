"""`hetcomp run`."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hetcomp.bench.reference import TOLERANCE, OutputError, compare, reference_outputs
from hetcomp.cli.common import FAILED, command_options
from hetcomp.cli.feeds import Array, random_feeds, read_npz, write_npz
from hetcomp.cli.output import number, print_json, print_table
from hetcomp.errors import InputError
from hetcomp.files import check_writable
from hetcomp.options import EXPERIMENTAL_TIERS, NPU_DRIVERS, TIERS

if TYPE_CHECKING:
    from hetcomp.runtime import Session, SessionStatus
    from hetcomp.runtime.remote_session import OpenedModel

__all__ = ["run"]

_T = TypeVar("_T")

_FILE = click.Path(path_type=Path)


@dataclass(frozen=True)
class _Times:
    """What it took to open the model, to run it the first time, and, median, later on."""

    load_ms: float
    first_ms: float
    warm_ms: float | None


@click.command()
@click.argument("model", metavar="M.so", type=_FILE)
@click.option("--inputs", metavar="F.npz", type=_FILE, help="Inputs by name; random if not given.")
@click.option("--outputs", metavar="F.npz", type=_FILE, help="File to write the outputs to.")
@click.option(
    "--validate", metavar="MODEL.onnx", type=_FILE,
    help="Compare with ONNX Runtime on the same inputs; exit status 1 beyond a relative 1e-4.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of random inputs.")
@click.option(
    "--device", type=click.Choice(["auto", "off"]), default="auto", show_default=True,
    help="off runs on the CPU alone.",
)  # fmt: skip
@click.option(
    "--repeat", metavar="N", type=click.IntRange(min=1), default=10, show_default=True,
    help="Inferences; the first one's outputs are shown, the others give the warm time.",
)  # fmt: skip
@click.option(
    "--trace", metavar="F.json", type=_FILE,
    help="Write a Chrome trace of all steps, for ui.perfetto.dev.",
)  # fmt: skip
@click.option(
    "--tier", type=click.Choice(("auto", *TIERS, *EXPERIMENTAL_TIERS)), default="auto",
    show_default=True,
    help="How CPU and OpenCL device wait for each other; auto: the fastest that works. "
    "mailbox wants HETCOMP_EXPERIMENTAL=1.",
)  # fmt: skip
@click.option(
    "--npu", type=click.Choice(("auto", "off", *NPU_DRIVERS)), default="auto", show_default=True,
    help="Driver for what the plan puts on the NPU; off runs that on the CPU.",
)  # fmt: skip
@click.option("--plan", metavar="NAME", help="One of the plans in M.so; explain lists them.")
@click.option(
    "--rpc", default="", metavar="HOST:PORT[,KEY]",
    help="Run it on the board where hetcomp_rpc runs; inferences are timed by the board's clock.",
)  # fmt: skip
@command_options
def run(
    model: Path,
    inputs: Path | None,
    outputs: Path | None,
    validate: Path | None,
    seed: int,
    device: str,
    tier: str,
    npu: str,
    repeat: int,
    trace: Path | None,
    plan: str | None,
    rpc: str,
    as_json: bool,
) -> None:
    """Run a compiled model and show its outputs, and its times when new and when warm."""
    if outputs:
        check_writable(outputs, "outputs")
    if trace:
        check_writable(trace, "trace")
    options = {"device": device, "tier": tier, "npu": npu, "trace": trace is not None}
    with _opened(model, rpc, options | ({"plan": plan} if plan else {})) as found:
        session = found.session
        feeds = read_npz(inputs) if inputs else random_feeds(session.inputs, seed)
        results, first_ms = _timed_ms(lambda: session.run(feeds))
        if rpc:
            first_ms, later_ms = _times_there(session, feeds, repeat - 1)
        else:
            later_ms = [_timed_ms(lambda: session.run(feeds))[1] for _ in range(repeat - 1)]
        warm_ms = statistics.median(later_ms) if later_ms else None
        times = _Times(found.open_s * 1e3, first_ms, warm_ms)
        if trace:
            _write_trace(session, trace)
        status = session.status()
    if outputs:
        write_npz(outputs, results)
    errors = compare(results, reference_outputs(validate, feeds)) if validate else ()
    if as_json:
        print_json(_json(results, errors, times, status, validate))
    else:
        _print(results, errors, times, status)
    if not all(error.ok for error in errors):
        sys.exit(FAILED)


def _write_trace(session: Session, path: Path) -> None:
    try:
        session.trace(path)
    except OSError as error:
        raise InputError(f"trace '{path}' cannot be written: {error.strerror}") from error


def _timed_ms(action: Callable[[], _T]) -> tuple[_T, float]:
    begin = time.perf_counter()
    result = action()
    return result, (time.perf_counter() - begin) * 1e3


@contextmanager
def _opened(model: Path, rpc: str, options: dict[str, Any]) -> Iterator[OpenedModel]:
    import hetcomp
    from hetcomp.machine import Machine
    from hetcomp.runtime.remote_session import OpenedModel

    if rpc:
        with Machine.parse(rpc).opened(model, **options) as found:
            yield found
        return
    session, load_ms = _timed_ms(lambda: hetcomp.load(model, **options))
    with session:
        yield OpenedModel(session, load_ms / 1e3)


def _times_there(
    session: Session, feeds: Mapping[str, Array], repeat: int
) -> tuple[float, list[float]]:
    """The first inference and further ones by the board's clock."""
    runs = session.profile(repeat, feeds).runs if repeat else ()
    return session.status().first_run_ms, [run.total_us / 1e3 for run in runs]


def _json(
    results: Mapping[str, Array],
    errors: Sequence[OutputError],
    times: _Times,
    status: SessionStatus,
    validate: Path | None,
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "outputs": [_describe(name, array) for name, array in results.items()],
        **asdict(times),
        "status": asdict(status),
    }
    if validate:
        data["validate"] = {
            "model": str(validate),
            "tolerance": TOLERANCE,
            "ok": all(error.ok for error in errors),
            "outputs": [{**asdict(error), "ok": error.ok} for error in errors],
        }
    return data


def _print(
    results: Mapping[str, Array],
    errors: Sequence[OutputError],
    times: _Times,
    status: SessionStatus,
) -> None:
    by_name = {error.name: error for error in errors}
    columns = ["output", "shape", "dtype", "min", "max", "mean"]
    rows = []
    for name, array in results.items():
        item = _describe(name, array)
        shape = "x".join(map(str, item["shape"])) or "scalar"
        row = [name, shape, item["dtype"], *(f"{item[key]:.6g}" for key in columns[3:])]
        if errors:
            row.append(_verdict(by_name.get(name)))
        rows.append(row)
    if errors:
        columns.append("max relative error")
    print_table("", columns, rows, right=columns[3:])
    npu = f", npu driver {status.npu}" if status.npu else ""
    click.echo(f"plan {status.plan}, tier {status.tier}{npu}")
    click.echo(
        f"load {times.load_ms:.2f} ms (program cache: {status.program_cache}), first inference "
        f"{times.first_ms:.2f} ms, warm {number(times.warm_ms, 2)} ms"
    )
    if status.why_no_gpu:
        click.echo(f"plan {status.requested_plan} was asked for: {status.why_no_gpu}")
    if status.why_no_npu:
        click.echo(f"{status.why_no_npu}; the CPU computes what was planned for the NPU")
    for refused, why in status.refused_tiers.items():
        click.echo(f"tier {refused} does not work: {why}")
    for error in errors:
        if not error.ok:
            click.echo(
                f"error: output '{error.name}' is {error.max_relative_error:.3g} from ONNX "
                f"Runtime's, tolerance {TOLERANCE:g}",
                err=True,
            )


def _verdict(error: OutputError | None) -> str:
    if error is None:
        return "-"
    return f"{error.max_relative_error:.2e} {'ok' if error.ok else 'TOO FAR'}"


def _describe(name: str, array: Array) -> dict[str, Any]:
    empty = array.size == 0
    return {
        "name": name,
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "min": 0.0 if empty else float(array.min()),
        "max": 0.0 if empty else float(array.max()),
        "mean": 0.0 if empty else float(array.mean()),
    }
