"""What one arm of one network gave: a row of `hetcomp bench models`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Row"]


@dataclass(frozen=True)
class Row:
    """One arm of one network; times in milliseconds.

    Attributes
    ----------
    model, size, plan
        The network, its size (None: published), and the plan asked for, or the peer's name.
    threads, cpu_threads
        Threads asked for, and those the CPU part really ran on.
    ran_plan, tier, why_no_gpu
        What really ran: the runtime's plan and tier, and why not the device.
    median_ms, p10_ms, p99_ms, n
        Statistics of all samples.
    ratio_to_onnxruntime, ratio_p10, ratio_p90
        Our time over ONNX Runtime's with `threads` threads, within rounds.
    ratio_to_onnxruntime_1_thread
        The same against one thread.
    best_peer, ratio_to_best_peer
        The engine that was fastest of those compared with, and our time over its, within rounds.
    gain_over_best_single, gain_p10, gain_p90
        Time of the better single processor, the CPU with one thread or the OpenCL device alone,
        over ours, within rounds: above 1 is faster. None where not both were measured.
    max_relative_error
        Largest error of an output against ONNX Runtime's.
    fallbacks
        Inferences that the CPU had to repeat.
    load_ms, first_run_ms, program_cache
        Time to open the compiled model and that of its first inference, neither in the statistics,
        and whether the OpenCL program's binary was found in a file. None or empty for the peer.
    """

    model: str
    size: int | None
    plan: str
    threads: int
    cpu_threads: int
    ran_plan: str
    tier: str
    why_no_gpu: str
    median_ms: float
    p10_ms: float
    p99_ms: float
    n: int
    ratio_to_onnxruntime: float | None
    ratio_p10: float | None
    ratio_p90: float | None
    ratio_to_onnxruntime_1_thread: float | None
    best_peer: str
    ratio_to_best_peer: float | None
    gain_over_best_single: float | None
    gain_p10: float | None
    gain_p90: float | None
    max_relative_error: float | None
    fallbacks: int
    load_ms: float | None
    first_run_ms: float | None
    program_cache: str
    samples_ms: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)
