"""Find the operators that lose accuracy, by bisection over the model's order.

The model is quantised in one range of its operators alone, all others being in float, and the error
of its outputs is measured. Ranges are halved, always that with the largest error first, until one
operator is left: it is found. This goes on until the model with all found ones in float has a tenth
of the error, or until a limit is reached.

Errors of ranges nearly add up, as rounding errors are nearly independent. A tensor that does not
stand being quantised is so by what makes it and by what reads it: both are found, one after the
other, and only with both in float the error falls.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from .deviation import DeviationSum, decibel
from .network import Network
from .operators import operators
from .ranges import Ranges
from .samples import Array
from .switched import SwitchedNetwork

__all__ = ["Culprit", "Limits", "Search", "find_culprits"]

_ENOUGH = 0.1
"""Part of the error that may be left."""


@dataclass(frozen=True)
class Limits:
    """When to give up: number of operators found, of networks tried, and seconds."""

    found: int = 8
    trials: int = 200
    seconds: float = 120.0


@dataclass(frozen=True)
class Culprit:
    """An operator that loses accuracy.

    Attributes
    ----------
    name, kind
        Of the node in the float model.
    alone_db
        Signal to noise of the outputs where this operator alone is quantised.
    left_db
        The same where this one and those found before it are in float, and all others quantised.
    """

    name: str
    kind: str
    alone_db: float
    left_db: float


@dataclass(frozen=True)
class Search:
    """What was found.

    Attributes
    ----------
    all_db
        Signal to noise of the outputs of the quantised model, mean over the outputs.
    culprits
        In the order in which they were found.
    stopped
        Why it went no further.
    trials, samples, seconds
        Networks tried, samples each was run on, and time taken.
    """

    all_db: float
    culprits: tuple[Culprit, ...]
    stopped: str
    trials: int
    samples: int
    seconds: float


def find_culprits(
    model: onnx.ModelProto,
    ranges: Ranges,
    keep_float: Sequence[str],
    samples: Sequence[Mapping[str, Array]],
    progress: Callable[[str, float], None],
    limits: Limits | None = None,
) -> Search:
    """Name the operators that make up most of the error of the quantised model's outputs.

    Parameters
    ----------
    model, ranges
        The float model, and the ranges of its tensors.
    keep_float
        Operators that are in float anyway.
    samples
        To run on; they stay in memory.
    progress
        Called with a text and the part of the limits that is used up.
    limits
        When to give up.
    """
    nodes = [node for node in operators(model) if node.name not in keep_float]
    trials = _Trials(model, ranges, samples, progress, limits or Limits())
    names = [node.name for node in nodes]
    total = trials.noise(names)
    culprits: list[Culprit] = []
    stopped = "no error is left"
    heap = [(-total, 0, len(names))] if total > 0.0 else []
    while heap:
        noise, begin, end = heapq.heappop(heap)
        if end - begin > 1:
            stopped = trials.spent()
            if stopped:
                break
            middle = (begin + end) // 2
            for part in ((begin, middle), (middle, end)):
                heapq.heappush(heap, (-trials.noise(names[slice(*part)]), *part))
            continue
        found = {culprit.name for culprit in culprits} | {names[begin]}
        left = trials.noise([name for name in names if name not in found])
        node = nodes[begin]
        culprits.append(Culprit(node.name, node.op_type, decibel(-noise), decibel(left)))
        stopped = trials.enough(left, total, len(culprits))
        if stopped:
            break
    return Search(
        decibel(total),
        tuple(culprits),
        stopped or "all operators were tried",
        trials.count,
        len(samples),
        trials.seconds,
    )


@dataclass
class _Trials:
    """Measures networks of which parts are quantised, and counts."""

    model: onnx.ModelProto
    ranges: Ranges
    samples: Sequence[Mapping[str, Array]]
    progress: Callable[[str, float], None]
    limits: Limits
    count: int = 0
    begin: float = field(default_factory=time.monotonic)
    expected: list[dict[str, Array]] = field(init=False)
    """Float outputs of every sample."""
    network: SwitchedNetwork = field(init=False)

    def __post_init__(self) -> None:
        network = Network(self.model)
        self.expected = [network.run(sample, network.outputs) for sample in self.samples]
        self.network = SwitchedNetwork(self.model, self.ranges)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begin

    def noise(self, chosen: Sequence[str]) -> float:
        """Noise over signal of the outputs, mean over them, with `chosen` alone quantised."""
        self.count += 1
        text = f"trial {self.count}: {len(chosen)} operators quantised"
        self.progress(text, self._used())
        sums = {name: DeviationSum() for name in _floats(self.expected[0])}
        for sample, expected in zip(self.samples, self.expected, strict=True):
            got = self.network.run(sample, chosen)
            for name, total in sums.items():
                total.add(expected[name], got[name])
        return sum(total.noise_share for total in sums.values()) / max(1, len(sums))

    def spent(self) -> str:
        """Why there may be no more trials; empty: there may."""
        if self.count + 2 > self.limits.trials:
            return f"the limit of {self.limits.trials} networks is reached"
        if self.seconds > self.limits.seconds:
            return f"the limit of {self.limits.seconds:.0f} s is reached"
        return ""

    def _used(self) -> float:
        """Part of the limits that is used up."""
        seconds = self.seconds / self.limits.seconds if self.limits.seconds > 0.0 else 1.0
        return min(1.0, max(self.count / self.limits.trials, seconds))

    def enough(self, left: float, total: float, found: int) -> str:
        """Why no more operators need be found; empty: they do."""
        if left <= _ENOUGH * total:
            return f"without them {left / total:.0%} of the noise is left"
        if found >= self.limits.found:
            return f"{found} are found; without them {left / total:.0%} of the noise is left"
        return self.spent()


def _floats(outputs: Mapping[str, Array]) -> list[str]:
    """Outputs with a noise; where there are whole numbers alone, those."""
    return [name for name, array in outputs.items() if array.dtype.kind == "f"] or list(outputs)
