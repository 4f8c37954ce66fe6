"""What the times of one network's arms say of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hetcomp.bench.peers import Peer
from hetcomp.bench.timing import Samples, ratio
from hetcomp.runtime import Session

__all__ = ["ORT", "Theirs", "singles_of"]

ORT = "onnxruntime"


@dataclass(frozen=True)
class Theirs:
    """Samples of the engines that are compared with."""

    peers: Sequence[Peer]
    samples: Sequence[Samples]

    def of(self, threads: int) -> Samples | None:
        """ONNX Runtime's."""
        pairs = zip(self.peers, self.samples, strict=True)
        named = (found for peer, found in pairs if (peer.name, peer.threads) == (ORT, threads))
        return next(named, None)

    def ratios(self, ours: Samples, threads: int) -> dict[str, Any]:
        """The fields of a row that compare."""
        same, single = self.of(threads), self.of(1)
        pairs = list(zip(self.peers, self.samples, strict=True))
        peer, best = min(pairs, key=lambda pair: pair[1].median_ms) if pairs else (None, None)
        against = ratio(ours, same) if same else None
        return {
            "ratio_to_onnxruntime": against.median if against else None,
            "ratio_p10": against.p10 if against else None,
            "ratio_p90": against.p90 if against else None,
            "ratio_to_onnxruntime_1_thread": ratio(ours, single).median if single else None,
            "best_peer": f"{peer.name} x{peer.threads}" if peer else "",
            "ratio_to_best_peer": ratio(ours, best).median if best else None,
        }


def singles_of(
    plans: Sequence[tuple[str, int]], sessions: Sequence[Session], samples: Sequence[Samples]
) -> tuple[Samples, ...]:
    """Samples of the CPU with one thread and of the OpenCL device; none unless both really ran."""
    found = {
        name: taken
        for (name, threads), session, taken in zip(plans, sessions, samples, strict=False)
        if (name == "gpu" or (name == "cpu" and threads == 1)) and session.status().plan == name
    }
    return tuple(found.values()) if len(found) == 2 else ()
