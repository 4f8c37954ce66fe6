"""`--shape name=1,3,224,224`."""

from __future__ import annotations

from collections.abc import Sequence

from hetcomp.errors import ShapeError

__all__ = ["parse_shapes"]


def parse_shapes(items: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by input name.

    Raises
    ------
    ShapeError
        An item is not NAME=N,N,..., a size is not positive, or a name comes twice.

    Examples
    --------
    >>> parse_shapes(["x=1,3,224,224"])
    {'x': (1, 3, 224, 224)}
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for item in items:
        name, separator, sizes = item.rpartition("=")
        if not separator or not name:
            raise ShapeError(f"--shape '{item}': expected NAME=N,N,..., such as x=1,3,224,224")
        if name in shapes:
            raise ShapeError(f"--shape '{item}': a shape of '{name}' was given before")
        shapes[name] = tuple(_size(item, text) for text in sizes.split(","))
    return shapes


def _size(item: str, text: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18 or int(digits) == 0:
        raise ShapeError(f"--shape '{item}': '{text}' is not a positive whole number")
    return int(digits)
