"""What every benchmark over zoo networks is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field
from pathlib import Path
from typing import Any

from hetcomp.bench import zoo
from hetcomp.bench.peers import PEERS
from hetcomp.bench.timing import TimingOptions
from hetcomp.errors import InputError
from hetcomp.options import CompileOptions

__all__ = ["NetworkOptions", "check_known"]


@dataclass(frozen=True)
class NetworkOptions:
    """Which networks to measure, and how.

    Attributes
    ----------
    models
        Names of zoo networks.
    against
        Peers.
    size, qdq
        Of `hetcomp.bench.zoo.build`: None is the published size; `qdq` quantises to int8.
    exact, precision, tuned, device_class, npu_driver
        See `CompileOptions`.
    timing
        How long.
    lock
        See `hetcomp.exclusive`.
    """

    models: tuple[str, ...]
    _: KW_ONLY
    against: tuple[str, ...] = PEERS[:1]
    size: int | None = None
    qdq: bool = False
    exact: bool = False
    precision: str = "auto"
    tuned: str = ""
    device_class: str = "auto"
    npu_driver: str = ""
    timing: TimingOptions = field(default_factory=TimingOptions)
    lock: Path | None = None

    def __post_init__(self) -> None:
        check_known("model", self.models, zoo.names())
        check_known("peer", self.against, PEERS)
        if not self.models:
            raise InputError("name at least one model")
        if self.kernels.tuned and not Path(self.tuned).is_file():
            raise InputError(f"data base '{self.tuned}' does not exist; hetcomp tune makes one")

    @property
    def kernels(self) -> CompileOptions:
        """Options of a compilation that has the kernels to measure."""
        return CompileOptions(
            exact=self.exact,
            precision=self.precision,
            tuned=self.tuned,
            device_class=self.device_class,
            npu_driver=self.npu_driver,
            lock=self.lock,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {**asdict(self), "lock": str(self.lock) if self.lock else None}


def check_known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raise `InputError` for a name of `what` that is not one of `known`."""
    for name in names:
        if name not in known:
            raise InputError(f"no {what} '{name}' in this version; {', '.join(known)}")
