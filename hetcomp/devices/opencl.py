"""OpenCL devices of this machine, asked in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetcomp.devices.info import DeviceInfo, OpenClInfo
from hetcomp.devices.verdict import Verdict

__all__ = ["describe_opencl", "devices_of"]

LIBRARIES = ("libOpenCL.so.1", "libOpenCL.so")
TIMEOUT_S = 20.0

_SVM = {
    1: "coarse-grain-buffer",
    2: "fine-grain-buffer",
    4: "fine-grain-system",
    8: "atomics",
}
_TYPES = {2: "cpu", 4: "gpu", 8: "accelerator"}
_INSTALL_LOADER = (
    "install an OpenCL loader and a driver: on Debian 'ocl-icd-libopencl1' and 'pocl-opencl-icd' "
    "(OpenCL on the CPU), else your GPU vendor's package"
)
_INSTALL_DRIVER = (
    "install a driver: on Debian 'pocl-opencl-icd' (OpenCL on the CPU), else your GPU vendor's "
    "package; if one is installed, check /etc/OpenCL/vendors and OCL_ICD_VENDORS"
)


@dataclass(frozen=True)
class _Answer:
    """What the probe said."""

    library: bool
    error: str
    devices: tuple[dict[str, Any], ...]


def describe_opencl(
    library: str | None = None, timeout_s: float = TIMEOUT_S
) -> tuple[DeviceInfo, ...]:
    """Describe the OpenCL devices, or why there is none.

    Parameters
    ----------
    library
        Path of the OpenCL loader; None takes $HETCOMP_OPENCL_LIBRARY, else the system's.
    timeout_s
        Time limit in seconds, after which the driver counts as broken.
    """
    chosen = library or os.environ.get("HETCOMP_OPENCL_LIBRARY")
    return _described(_ask((chosen,) if chosen else LIBRARIES, timeout_s))


def devices_of(answer: Mapping[str, Any]) -> tuple[DeviceInfo, ...]:
    """The same, of what another machine's probe said."""
    return _described(_Answer(answer["library"], answer["error"], tuple(answer["devices"])))


def _described(answer: _Answer) -> tuple[DeviceInfo, ...]:
    if not answer.devices:
        return (_nothing(answer),)
    return tuple(_device(item) for item in answer.devices)


def _ask(libraries: tuple[str, ...], timeout_s: float) -> _Answer:
    script = Path(__file__).with_name("opencl_probe.py")
    try:
        done = subprocess.run(
            [sys.executable, str(script), *libraries],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return _Answer(True, f"the driver did not answer within {timeout_s:g} s", ())
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return _Answer(True, f"the driver ended its process ({done.returncode}): {last}", ())
    try:
        data = json.loads(done.stdout.splitlines()[-1])
        return _Answer(data["library"], data["error"], tuple(data["devices"]))
    except (ValueError, KeyError, IndexError):
        return _Answer(True, "the driver printed into the probe's answer", ())


def _nothing(answer: _Answer) -> DeviceInfo:
    if not answer.library:
        reason = f"no OpenCL loader: {answer.error}"
        return DeviceInfo("opencl", "none", Verdict(False, reason), _INSTALL_LOADER)
    reason = answer.error or "the OpenCL loader knows no device"
    return DeviceInfo("opencl", "none", Verdict(False, reason), _INSTALL_DRIVER)


def _device(item: dict[str, Any]) -> DeviceInfo:
    svm = tuple(name for bit, name in _SVM.items() if item["svm"] & bit)
    fine = "fine-grain-buffer" in svm and "atomics" in svm
    info = OpenClInfo(
        platform=item["platform"],
        version=item["version"],
        c_version=item["c_version"],
        driver=item["driver"],
        kind=next((name for bit, name in _TYPES.items() if item["type"] & bit), "other"),
        svm=svm,
        tier="svm-ahead" if fine else "event",
        compute_units=item["compute_units"],
        max_sub_devices=item["max_sub_devices"],
        memory_bytes=item["memory_bytes"],
        vendor=item["vendor"],
        max_group_items=item["max_group_items"],
        local_bytes=item["local_bytes"],
        sub_group=item["sub_group"],
        vector_width=item["vector_width"],
        f16="cl_khr_fp16" in item["extensions"].split(),
    )
    if fine:
        reason = "fine-grained SVM with atomics: kernels are enqueued ahead"
    else:
        how = "coarse-grained SVM" if "coarse-grain-buffer" in svm else "buffers"
        reason = f"no fine-grained SVM with atomics: what crosses is copied through {how}"
    return DeviceInfo("opencl", item["name"], Verdict(True, reason), opencl=info)
