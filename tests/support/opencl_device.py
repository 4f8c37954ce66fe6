"""Tests that need an OpenCL device: skipped without one, but where CI has to have one."""

from __future__ import annotations

from required import OPENCL

from hetcomp.devices import describe_opencl

__all__ = ["DEVICES", "NEEDS_OPENCL", "skip_or_fail"]

_FOUND = describe_opencl()

DEVICES = [device for device in _FOUND if device.verdict]
"""Those that serve."""

NEEDS_OPENCL = OPENCL.marker(
    ""
    if DEVICES
    else f"no OpenCL device that serves: {[device.verdict.reason for device in _FOUND]}"
)
"""For tests that fail without a device, which they do where one is required."""

skip_or_fail = OPENCL.skip_or_fail
"""Ends a test that has not the device, or the tier, that it needs."""
