"""A yes or no that always carries its reason."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Verdict"]


@dataclass(frozen=True)
class Verdict:
    """Whether something can be used, and why (not).

    Examples
    --------
    >>> bool(Verdict(False, "no fine-grained SVM"))
    False
    """

    ok: bool
    reason: str

    def __bool__(self) -> bool:
        return self.ok
