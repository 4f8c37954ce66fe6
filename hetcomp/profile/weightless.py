"""What layers without weights share."""

from __future__ import annotations

__all__ = ["Weightless"]


class Weightless:
    """A layer whose weights are none, or next to nothing."""

    @property
    def weights(self) -> int:
        """Floats of its weights that count."""
        return 0
