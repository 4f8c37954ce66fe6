"""What every command shares: --json and --debug, and how an error ends the process."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from hetcomp.errors import HetcompError, InputError

__all__ = ["BAD_INPUT", "FAILED", "command_options", "refuse_options"]

Function = TypeVar("Function", bound=Callable[..., Any])

BAD_INPUT, FAILED = 2, 1


def command_options(function: Function) -> Function:
    """Add --json (passed on as `as_json`) and --debug, and turn errors into one line."""

    @functools.wraps(function)
    def guarded(*args: Any, debug: bool, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (click.exceptions.Exit, click.Abort, click.ClickException):
            raise
        except Exception as error:
            if debug:
                raise
            click.echo(f"error: {_line(error)}", err=True)
            sys.exit(BAD_INPUT if isinstance(error, InputError) else FAILED)

    options = (
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
    )
    decorated: Any = guarded
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def refuse_options(names: Collection[str], why: str) -> None:
    """Refuse parameters of the command that runs, where the user gave them.

    Raises
    ------
    InputError
        One of `names` was given; `why` it means nothing.
    """
    context = click.get_current_context()
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names
        and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT
    ]
    if given:
        raise InputError(f"{', '.join(given)}: {why}")


def _line(error: Exception) -> str:
    """The error's text on one line; what is not ours also says its type and how to see more."""
    text = " ".join(str(error).split())
    if isinstance(error, HetcompError):
        return text or type(error).__name__
    return f"unexpected {type(error).__name__}: {text} (--debug shows where)"
