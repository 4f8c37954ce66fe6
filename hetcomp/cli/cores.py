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
    found: list[int] = []
    for item in text.split(","):
        low, dash, high = item.partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            raise InputError(f"cores '{text}': '{item}' is neither a CPU nor a range such as 4-7")
        found += range(int(low), int(high or low) + 1)
    if not found or len(set(found)) < len(found) or max(found) >= _MOST:
        raise InputError(f"cores '{text}': each CPU once, below {_MOST}")
    return tuple(found)
