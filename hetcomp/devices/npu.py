"""Drivers of the `npu` backend, and why those that are missing are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hetcomp.devices.cpu import cpu_features
from hetcomp.devices.info import DeviceInfo
from hetcomp.devices.verdict import Verdict

__all__ = ["describe_npus"]

_AMX = ("amx_tile", "amx_int8", "amx_bf16")
_QNN = "onnxruntime_qnn"


def describe_npus(root: Path = Path("/")) -> tuple[DeviceInfo, ...]:
    """Describe every driver, whether there is one or not; `root` is that of the file system."""
    return (_reference(), _amx(root), _htp())


def _reference() -> DeviceInfo:
    reason = "portable C++, an oracle: `compile --plan npu` uses it, `auto` never does"
    return DeviceInfo("npu", "reference", Verdict(True, reason))


def _amx(root: Path) -> DeviceInfo:
    missing = [name for name in _AMX if name not in cpu_features(root)]
    if missing:
        reason = f"/proc/cpuinfo has no {', '.join(missing)}, and this version has no driver for it"
    else:
        reason = "the CPU has it, but this version has no driver for it"
    return DeviceInfo("npu", "amx", Verdict(False, reason))


def _htp() -> DeviceInfo:
    found = "is installed" if find_spec(_QNN) else "is not installed"
    reason = f"Qualcomm's HTP: this version has no driver for it; package onnxruntime-qnn {found}"
    return DeviceInfo("npu", "htp", Verdict(False, reason))
