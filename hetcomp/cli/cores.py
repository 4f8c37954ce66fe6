"""Lists of CPUs on the command line."""

from __future__ import annotations

from hetcomp.errors import InputError

__all__ = ["parse_cores"]

_MOST = 1024


def parse_cores(text: str) -> tuple[int, ...]:
    """CPUs of a list such as `4-7,0`, in its order; none for `all`.

    Raises
    ------
    InputError
        It is of another form.
    """
    if text == "all":
        return ()
    found = [core for item in text.split(",") for core in _range(text, item)]
    if len(set(found)) < len(found):
        raise InputError(f"cores '{text}': a CPU is there twice")
    return tuple(found)


def _range(text: str, item: str) -> range:
    """CPUs of one item, `3` or `4-7`."""
    low, dash, high = item.partition("-")
    if not _is_number(low) or (dash and not _is_number(high)):
        raise InputError(f"cores '{text}': '{item}' is neither a CPU nor a range such as 4-7")
    first, last = int(low), int(high or low)
    if not first <= last < _MOST:
        raise InputError(f"cores '{text}': '{item}' is not a range of CPUs below {_MOST}")
    return range(first, last + 1)


def _is_number(text: str) -> bool:
    """Whether it is of decimal digits; `isdigit` alone takes superscripts, which `int` does not."""
    return text.isascii() and text.isdigit()
