"""Where to measure, if not here."""

from __future__ import annotations

from dataclasses import dataclass

from hetcomp.errors import InputError

__all__ = ["Remote"]


@dataclass(frozen=True)
class Remote:
    """Where to measure: a board's `hetcomp_rpc`, or with a key one that a tracker hands out."""

    host: str
    port: int
    key: str = ""

    @staticmethod
    def parse(text: str) -> Remote:
        """From `HOST:PORT[,KEY]`.

        Raises
        ------
        InputError
            It is of another form.
        """
        address, _, key = text.partition(",")
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise InputError(f"'{text}' is not HOST:PORT or HOST:PORT,KEY")
        return Remote(host, int(port), key)

    @property
    def text(self) -> str:
        """As `parse` takes it."""
        return f"{self.host}:{self.port}" + (f",{self.key}" if self.key else "")
