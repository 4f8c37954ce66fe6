"""What `bench layers` is asked, and what it answers: frozen data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from hetcomp.bench.options import NetworkOptions, check_known
from hetcomp.bench.timing import TimingOptions
from hetcomp.errors import InputError

__all__ = ["CPU", "GPU", "QUICK", "TIMING", "LayerRow", "LayersOptions"]

CPU, GPU = "cpu", "gpu"
TIMING = TimingOptions(rounds=9, reps=1, warmup=0, cap_seconds=15.0)
"""A repetition is itself several inferences, the first of which is dropped."""
QUICK = replace(TIMING, rounds=3, cap_seconds=3.0)


@dataclass(frozen=True)
class LayersOptions(NetworkOptions):
    """What to measure.

    Attributes
    ----------
    processors
        `cpu`, `gpu`.
    min_mflop
        Layers with less work are left out.
    memory_bound
        Whether to list layers without multiply-adds too.
    """

    processors: tuple[str, ...] = (CPU, GPU)
    min_mflop: float = 0.0
    memory_bound: bool = False
    timing: TimingOptions = field(default_factory=lambda: TIMING, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_known("processor", self.processors, (CPU, GPU))
        if not self.processors:
            raise InputError("name at least one processor")


@dataclass(frozen=True)
class LayerRow:
    """One distinct layer on one processor.

    Attributes
    ----------
    model, layer, kind, variant, text
        First network that has it, its task there, kernel family, its variant and what it computes.
    count, also_in
        Tasks of that network that are alike, and other networks that have such.
    processor
        `cpu` or `gpu`.
    mflop, mbytes
        Work without what falls on padding, and size of inputs, weights and outputs.
    time_us, p10_us, p90_us, n
        Median over rounds and over tasks alike, spread of the rounds, number of rounds.
    gflops, peak_gflops, share_of_peak
        Speed, the peak measured in turns with it, and their ratio.
    gb_per_s
        Bytes over time.
    onnxruntime_us, ratio_to_onnxruntime
        ONNX Runtime's time on one CPU thread, and ours over it; None where its nodes cannot be
        led back to this layer's.
    """

    model: str
    layer: str
    kind: str
    variant: str
    text: str
    count: int
    also_in: tuple[str, ...]
    processor: str
    mflop: float
    mbytes: float
    time_us: float
    p10_us: float
    p90_us: float
    n: int
    gflops: float
    peak_gflops: float
    share_of_peak: float
    gb_per_s: float
    onnxruntime_us: float | None
    ratio_to_onnxruntime: float | None
    key: str

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)
