"""Tests that need an OpenCL device: skipped without one, but where CI has to have one."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from hetcomp.devices import describe_opencl

__all__ = ["DEVICES", "NEEDS_OPENCL", "skip_or_fail"]

_REQUIRED = bool(os.environ.get("HETCOMP_REQUIRE_OPENCL"))
"""Co-execution must not go untested there."""

_FOUND = describe_opencl()

DEVICES = [device for device in _FOUND if device.verdict]
"""Those that serve."""

NEEDS_OPENCL = pytest.mark.skipif(
    not DEVICES and not _REQUIRED,
    reason=f"no OpenCL device that serves: {[device.verdict.reason for device in _FOUND]}",
)
"""For tests that fail without a device, which they do where one is required."""


def skip_or_fail(reason: str) -> NoReturn:
    """End a test that has not the device, or the tier, that it needs."""
    if _REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)
