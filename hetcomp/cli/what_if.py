"""`hetcomp bench planner --profile` with a list of operators' times: nothing is measured."""

from __future__ import annotations

import click

from hetcomp.cli.output import number, print_json, print_table
from hetcomp.cost.operator_times import OperatorTimes
from hetcomp.errors import InputError

__all__ = ["parse_overheads", "show_what_if"]

_COLUMNS = ("overhead µs", "median speed-up", "largest", "operators that gain")


def parse_overheads(text: str) -> tuple[float, ...]:
    """Microseconds, by comma.

    Raises
    ------
    InputError
        One is not a number, or below 0.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"overheads '{text}': expected microseconds, by comma") from error
    if not all(0.0 <= overhead < float("inf") for overhead in found):
        raise InputError(f"overheads '{text}': expected numbers from 0 on")
    return found


def show_what_if(times: OperatorTimes, overheads_us: tuple[float, ...], *, as_json: bool) -> None:
    """Print what splitting every operator would gain under each overhead."""
    from hetcomp.bench.what_if import what_if

    rows = what_if(times, overheads_us)
    if as_json:
        print_json({"operators": len(times.names), "rows": [row.to_json() for row in rows]})
        return
    cells = [
        (
            number(row.overhead_us, 0),
            f"{row.speedup_median:.2f}x",
            f"{row.speedup_max:.2f}x",
            f"{100 * row.gaining / row.operators:.0f}%",
        )
        for row in rows
    ]
    title = f"{times.costs.device}: {len(times.names)} operators, ideal splits"
    print_table(title, _COLUMNS, cells, right=_COLUMNS)
    click.echo("speed-up over the better single processor, which is kept where no split pays")
