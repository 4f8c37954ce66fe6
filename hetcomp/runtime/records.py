"""What a session tells about itself: tensors, status, profiles. Frozen data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hetcomp.plan.graph import Tensor

__all__ = [
    "Latencies",
    "Profile",
    "RunProfile",
    "SessionStatus",
    "StepTimes",
    "TensorInfo",
    "parse_profile",
]


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape and dtype of an input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @staticmethod
    def of(tensor: Tensor) -> TensorInfo:
        """The same for a tensor of the task graph."""
        return TensorInfo(tensor.name, tensor.shape, np.dtype(tensor.dtype))


@dataclass(frozen=True)
class SessionStatus:
    """State of a session.

    Attributes
    ----------
    tier
        How CPU and OpenCL device wait for each other. `svm-ahead`: kernels are enqueued ahead and
        wait for the CPU's flags in shared memory; `svm`: they are enqueued when their inputs are
        ready, and raise flags; `event`: the CPU polls events instead; `finish`: it sleeps until
        the queue is empty; `cpu`: the device is not used. Experimental, `mailbox`: one kernel runs
        all steps and stays for the next inference, while the device polls for up to 5 ms.
    memory
        Where the tensors are that both use: `fine`, in fine-grained shared memory; `coarse` and
        `buffer`, in memory of each, between which the parts that cross are copied, through
        coarse-grained shared memory that the CPU maps, or through buffers; empty on the CPU alone.
    refused_tiers
        Tiers that would be faster, and why they do not work on the device.
    plan, requested_plan
        Plan in use, and the one asked for.
    why_no_gpu
        Why the OpenCL device is not used although the plan asked for it; empty otherwise.
    device, device_version, platform, device_is_cpu, device_bad, atomics, poll_ns
        The OpenCL device, whether it has failed for good, the proven spelling of atomics and the
        cost of one poll of a waiting kernel; empty or zero before the device is needed.
    cpu_version
        CPU whose kernels are used, of those in the file.
    gpu_pinned, cpu_pinned, cpu_core, gpu_core
        Whether kernels and the calling thread run on one core each, and on which.
    cores
        CPUs that inferences may run on, of those that were asked for; empty: any.
    npu
        Driver of the NPU in use; empty where there is none.
    why_no_npu
        Why what the plan puts on the NPU, or some of it, runs on the CPU; empty otherwise.
    npu_steps, npu_fallbacks
        Regions of the table in use; inferences of which the CPU computed some.
    threads, priority, timeout_ms
        As asked for.
    cpu_steps, gpu_steps, gpu_launches, arena_bytes
        Size of the table in use, and by how many launches the OpenCL device runs its steps.
    runs, fallbacks, timeouts
        Inferences so far; those that the CPU had to repeat; and those because of a time-out.
    ahead_used, ahead_voided
        Inferences that were enqueued before they were asked for, or found the kernel of tier
        `mailbox` waiting, and those that came too late.
    open_ms, warmup_ms, build_ms
        Time to open, thereof for warming kernels up, and to build the OpenCL program.
    program_cache
        `hit` where the OpenCL program's binary was found in a file, `miss` where it was compiled
        and kept, `off` where nothing is kept.
    first_run_ms, warm_run_ms
        Time of the first inference, and the mean of all later ones.
    """

    tier: str
    memory: str
    refused_tiers: Mapping[str, str]
    plan: str
    requested_plan: str
    why_no_gpu: str
    device: str
    device_version: str
    platform: str
    device_is_cpu: bool
    device_bad: bool
    atomics: str
    poll_ns: float
    cpu_version: str
    gpu_pinned: bool
    cpu_pinned: bool
    cpu_core: int
    gpu_core: int
    cores: Sequence[int]
    threads: int
    priority: int
    timeout_ms: float
    npu: str
    why_no_npu: str
    npu_steps: int
    npu_fallbacks: int
    cpu_steps: int
    gpu_steps: int
    gpu_launches: int
    arena_bytes: int
    runs: int
    fallbacks: int
    timeouts: int
    ahead_used: int
    ahead_voided: int
    open_ms: float
    warmup_ms: float
    build_ms: float
    program_cache: str
    first_run_ms: float
    warm_run_ms: float


@dataclass(frozen=True)
class Latencies:
    """What dispatching a kernel and waiting for it cost, in microseconds; samples taken by turns.

    Attributes
    ----------
    enqueue_us, enqueue_busy_us
        The CPU's time for an enqueue with its flush, the device asleep, and with a kernel running.
    launch_us
        From the end of that enqueue to the first flag of the kernel, the device asleep before.
    hand_shake_us
        From the CPU's flag to the answer of a kernel that waits for it.
    flag_us, event_us, sleep_us, finish_us
        Kernels of equal length: from their first flag to where the CPU knows of their end, by their
        flag, the event's status, sleeping until the event, and `clFinish`. The differences to the
        first count.
    """

    enqueue_us: tuple[float, ...]
    enqueue_busy_us: tuple[float, ...]
    launch_us: tuple[float, ...]
    hand_shake_us: tuple[float, ...]
    flag_us: tuple[float, ...]
    event_us: tuple[float, ...]
    sleep_us: tuple[float, ...]
    finish_us: tuple[float, ...]


@dataclass(frozen=True)
class CopyTimes:
    """Copies of so many bytes between the CPU's memory and the device's, in microseconds.

    Attributes
    ----------
    upload_us
        To the device's memory, until the device can use it.
    download_us
        From there, until the CPU has the bytes.
    """

    upload_us: tuple[float, ...]
    download_us: tuple[float, ...]


@dataclass(frozen=True)
class StepTimes:
    """One CPU step: start and end in microseconds from the start of the run, wait before it."""

    start_us: float
    end_us: float
    wait_us: float


@dataclass(frozen=True)
class RunProfile:
    """One traced inference.

    Attributes
    ----------
    total_us
        From before the first enqueue to the last completion, without copies of inputs and outputs.
    cpu
        Times of the CPU's steps.
    gpu_end_us
        When the CPU saw each GPU step's signal; -1 where it saw a later one first.
    gpu_watched
        Whether the CPU was watching when the signal came; if not, the time is an upper bound.
    npu
        When the NPU ran each region; None where the CPU ran it instead.
    """

    total_us: float
    cpu: tuple[StepTimes, ...]
    gpu_end_us: tuple[float, ...]
    gpu_watched: tuple[bool, ...]
    npu: tuple[StepTimes | None, ...] = ()


@dataclass(frozen=True)
class Profile:
    """Traced inferences of one plan."""

    plan: str
    runs: tuple[RunProfile, ...]


def parse_profile(data: Mapping[str, Any]) -> Profile:
    """The runtime's JSON as data classes."""
    return Profile(
        plan=data["plan"],
        runs=tuple(
            RunProfile(
                total_us=run["total_us"],
                cpu=tuple(StepTimes(*times) for times in run["cpu"]),
                gpu_end_us=tuple(run["gpu"]),
                gpu_watched=tuple(run["gpu_watched"]),
                npu=tuple(_region(*times) for times in run["npu"]),
            )
            for run in data["runs"]
        ),
    )


def _region(start_us: float, end_us: float) -> StepTimes | None:
    return StepTimes(start_us, end_us, 0.0) if end_us > 0.0 else None
