"""Opens compiled models. Imports no compiler and no TVM."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hetcomp.devices.htp import htp_libraries
from hetcomp.errors import ArtifactError, InputError
from hetcomp.runtime._ffi_api import open_module
from hetcomp.runtime.elf import host_machine
from hetcomp.runtime.image import Image, read_image
from hetcomp.runtime.image_header import check_code
from hetcomp.runtime.session import Session

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    plan: str | None = None,
    device: str = "auto",
    tier: str = "auto",
    experimental: bool = False,
    memory: str = "auto",
    pin: str = "auto",
    threads: int = 1,
    priority: int = 0,
    pipeline: str = "off",
    ahead: str = "auto",
    chain: str = "auto",
    timeout_ms: float = 5000.0,
    npu: str = "auto",
    adapt: str = "auto",
    gpu_slice_us: int = 0,
    trace: bool = False,
    quiet: bool = False,
    opencl_library: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] = "auto",
    verify: str = "auto",
    cores: Sequence[int] | None = None,
    cpu_core: int | None = None,
    gpu_core: int | None = None,
    fault: str = "",
    npu_fault: str = "",
    epoch_start: int = 0,
    pretended_load: Sequence[tuple[int, float, float]] = (),
) -> Session:
    """Open a compiled model.

    Parameters
    ----------
    path
        A model.so made by `hetcomp.compile` for this machine.
    plan
        Name of one of its plans; None takes the first.
    device
        `auto` uses the OpenCL device if the plan wants it and it serves; `off` does not.
    tier
        How CPU and device wait for each other: `svm-ahead`, `svm`, `event`, `finish` or `cpu`, see
        `SessionStatus.tier`; `auto` takes the fastest that a probe at start-up proves. `mailbox`
        is experimental.
    experimental
        Allows the tier `mailbox`.
    memory
        Where tensors are that both use, see `SessionStatus.memory`: `fine`, `coarse`, `buffer`, or
        `auto`, the first of these that the device has.
    pin
        `on` runs each inference on one core; `off` never does; `auto` does so beside an OpenCL
        device that is itself a CPU, which is pinned to another core then.
    threads
        CPU threads that share each CPU step.
    priority
        Models of a process take turns at the OpenCL device, and sessions with as many `threads` at
        those: the higher goes first, -1000 to 1000. Nobody waits for ever: who was passed over 8
        times goes before everyone else.
    ahead
        Whether the OpenCL device is given the next inference before it is asked for: `on`, `off`,
        or `auto`, where inferences have followed each other closely so far. The device polls for up
        to a millisecond after the last one then.
    chain
        `auto` runs all steps of the OpenCL device by one launch where it is a single core and its
        kernels have one work-item each; `off` launches each step.
    pipeline
        For throughput: whole inferences on either processor, each taking the next request whenever
        it is free, for `submit` and for `run` of several threads. The plans are `cpu` and `gpu`;
        `buffer`, `use_plan` and `set_table` are refused. `on`, `off`, or `auto`: where the model
        was compiled with the objective `throughput`.
    timeout_ms
        How long to wait for the OpenCL device before the CPU takes over.
    gpu_slice_us
        Longest launch on the OpenCL device, as predicted: steps are cut into such pieces, and none
        waits for the CPU on the device (`tier` is `auto`, which takes `svm` at most then, or one of
        `svm`, `event`, `finish`), so that other clients are served between. Steps with tickets and
        steps without a prediction stay whole, and nothing is cut finer than its tiles:
        `SessionStats.gpu_steps_over_slice` counts what the limit does not hold for. 0: no limit.
        Together with `compile --gpu-cap`, which leaves other clients the time.
    npu
        Driver for what the plan puts on the NPU: `auto` takes the one that the file was compiled
        for, `off` none. Without it, or where it refuses, fails or does not answer within
        `timeout_ms`, the CPU computes the same.
    adapt
        Whether the session changes to other plans of the file when a processor slows down, and back
        when it recovers: `on`, `off`, or `auto`, where `plan` is the file's first. Only plans that
        `compile` has predicted times for; inferences are then as fast as the fastest of them,
        within a few, at the cost of a trial now and then.
    trace
        Keep the last 65536 steps for `Session.trace`.
    quiet
        Do not say on standard error why the OpenCL device is not used.
    opencl_library
        OpenCL library to load; None takes the system's.
    cache
        Folder for compiled OpenCL programs. `auto` takes the user's cache folder, but keeps
        nothing where the driver does (PoCL); `off` never keeps any.
    verify
        `auto` compares code and weights with their checksums, which reads the whole file; `off`
        opens a large model faster.
    cores
        CPUs that inferences run on, by Linux's numbers, such as a phone's fast ones. Those that are
        not here are left out; with none left any serves. With `threads`, each has one of them for
        itself, as far as they go. None: as the model was compiled (`compile --cores`); empty: any.
    cpu_core, gpu_core
        Cores to pin to; None takes the first two allowed.
    npu_fault
        For tests: what goes wrong with the NPU's driver, see `NpuFault` in `options.h`.
    fault, epoch_start
        For tests: a deliberate failure (`wedge` or `enqueue`) and the first epoch.
    pretended_load
        For tests: from which inference on the CPU and the OpenCL device seem so many times slower
        than predicted to what chooses the plan.

    Returns
    -------
    Session
        The opened model. The environment variables HETCOMP_DEVICE, HETCOMP_TIER, HETCOMP_MEMORY,
        HETCOMP_PIN, HETCOMP_NPU, HETCOMP_EXPERIMENTAL (1 or 0) and HETCOMP_OPENCL_LIBRARY stand in
        for arguments that are left at their defaults; HETCOMP_CACHE_DIR names the user's cache
        folder, HETCOMP_ONNXRUNTIME and HETCOMP_QNN the libraries of driver `htp`.

    Raises
    ------
    ArtifactError
        The file is missing, damaged, or not a model compiled for this machine.
    InputError
        An option is wrong, or this CPU lacks a feature that the kernels need.
    DeviceError
        The plan needs the OpenCL device, it fails, and the model has no plan `cpu`.

    Examples
    --------
    >>> with load("model.so") as session:  # doctest: +SKIP
    ...     session.run({"x": np.ones((1, 8), np.float32)})["y"].shape
    (1, 4)
    """
    file = Path(path).absolute()
    image = read_image(file)
    _check_machine(file, image)
    if verify == "auto":
        check_code(file)
    options: dict[str, Any] = {
        "timeout_ms": float(timeout_ms),
        "threads": threads,
        "priority": priority,
        "pipeline": _wants_pipeline(image, pipeline),
        "gpu_slice_us": gpu_slice_us,
        "trace": trace,
        "quiet": quiet,
        "fault": fault,
        "npu_fault": npu_fault,
        "epoch_start": epoch_start,
        "pretended_load": [list(load) for load in pretended_load],
    }
    chosen = {
        "plan": plan,
        "cores": None if cores is None else list(cores),
        "cpu_core": cpu_core,
        "gpu_core": gpu_core,
        "experimental": experimental or None,
        "opencl_library": None if opencl_library is None else os.fspath(opencl_library),
        "device": _unless_auto(device),
        "tier": _unless_auto(tier),
        "memory": _unless_auto(memory),
        "ahead": _unless_auto(ahead),
        "npu": _unless_auto(npu),
        "adapt": _unless_auto(adapt),
        "chain": _unless_auto(chain),
        "pin": _unless_auto(pin),
        "verify": _unless_auto(verify),
        "cache": _unless_auto(os.fspath(cache)),
    }
    if npu == "htp" or any(table.npu for table in image.tables):
        chosen |= htp_libraries(os.environ)
    options |= {key: value for key, value in chosen.items() if value is not None}
    return Session(image, open_module(file, json.dumps(options)))


def _unless_auto(value: str) -> str | None:
    """None leaves it to the runtime, which knows the environment variables."""
    return None if value == "auto" else value


def _check_machine(file: Path, image: Image) -> None:
    if image.build.get("form", "library") != "library":
        raise ArtifactError(f"{file} is a program: run it, or compile the model to an .so")
    machine = host_machine()
    if machine is not None and image.machine != machine:
        raise ArtifactError(
            f"{file} was compiled for another machine ({image.target or image.machine}); "
            "compile it for this one"
        )


def _wants_pipeline(image: Image, pipeline: str) -> bool:
    if pipeline not in ("on", "off", "auto"):
        raise InputError(f"pipeline must be on, off or auto, got '{pipeline}'")
    made_for_it = image.build.get("objective") == "throughput"
    return pipeline == "on" or (pipeline == "auto" and made_for_it)
