"""Drivers of the `npu` backend, and why those that are missing are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hetcomp.devices.amx import why_no_amx
from hetcomp.devices.info import DeviceInfo
from hetcomp.devices.verdict import Verdict

__all__ = ["describe_npus"]

_QNN = "onnxruntime_qnn"


def describe_npus(root: Path = Path("/")) -> tuple[DeviceInfo, ...]:
    """Describe every driver, whether there is one or not; `root` is that of the file system."""
    return (_reference(), _amx(root), _htp())


def _reference() -> DeviceInfo:
    reason = "portable C++, an oracle: `compile --plan npu` uses it, `auto` never does"
    return DeviceInfo("npu", "reference", Verdict(True, reason))


def _amx(root: Path) -> DeviceInfo:
    missing = why_no_amx(root)
    reason = missing or "tiles of the CPU: `compile --plan npu --npu-driver amx` uses them"
    return DeviceInfo("npu", "amx", Verdict(not missing, reason))


def _htp() -> DeviceInfo:
    found = "is installed" if find_spec(_QNN) else "is not installed"
    reason = f"Qualcomm's HTP: this version has no driver for it; package onnxruntime-qnn {found}"
    return DeviceInfo("npu", "htp", Verdict(False, reason))
