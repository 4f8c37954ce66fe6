"""Drivers of the `npu` backend, and why those that are missing are."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from hetcomp.devices.amx import BF16, why_no_amx
from hetcomp.devices.cpu import cpu_features
from hetcomp.devices.htp import LICENCE, htp_libraries
from hetcomp.devices.info import DeviceInfo
from hetcomp.devices.verdict import Verdict

__all__ = ["describe_npus"]


def describe_npus(root: Path = Path("/")) -> tuple[DeviceInfo, ...]:
    """Describe every driver, whether there is one or not; `root` is that of the file system."""
    return (_reference(), _amx(root), _htp())


def _reference() -> DeviceInfo:
    reason = "portable C++, an oracle: slower than the CPU, which `auto` finds out"
    return DeviceInfo("npu", "reference", Verdict(True, reason))


def _amx(root: Path) -> DeviceInfo:
    missing = why_no_amx(root)
    reason = missing or "tiles of the CPU: `compile --plan npu --npu-driver amx` uses them"
    if not missing and BF16 not in cpu_features(root):
        reason += f"; not with `--precision bf16`: /proc/cpuinfo has no {BF16}"
    return DeviceInfo("npu", "amx", Verdict(not missing, reason))


def _htp() -> DeviceInfo:
    missing = [name for name, path in htp_libraries({}).items() if path is None]
    if "qnn" in missing:
        reason = f"Qualcomm's HTP: the package onnxruntime-qnn is not installed: {LICENCE}"
    elif missing:
        reason = "Qualcomm's HTP: onnxruntime has no shared library here"
    else:
        reason = f"Qualcomm's HTP: onnxruntime-qnn {version('onnxruntime-qnn')} compiles for it"
        reason += " and emulates it here: `compile --plan npu --npu-driver htp` uses it"
    return DeviceInfo("npu", "htp", Verdict(not missing, reason))
