"""What tests need of a machine: skipped without it, but failed where a variable requires it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

__all__ = ["AMX_EMULATOR", "ARM", "ARM_IN_FULL", "OPENCL", "Required"]


@dataclass(frozen=True)
class Required:
    """Something that must not go untested where the environment's `variable` is set."""

    variable: str

    @property
    def here(self) -> bool:
        """Whether it is required."""
        return bool(os.environ.get(self.variable))

    def marker(self, why_not: str) -> pytest.MarkDecorator:
        """For tests that fail by themselves without it, which they do where it is required."""
        return pytest.mark.skipif(bool(why_not) and not self.here, reason=why_not)

    def skip_or_fail(self, why_not: str) -> None:
        """End a test unless `why_not` is empty."""
        if why_not and self.here:
            pytest.fail(f"{self.variable} is set: {why_not}")
        if why_not:
            pytest.skip(why_not)


AMX_EMULATOR = Required("HETCOMP_REQUIRE_AMX_EMULATOR")
"""For CI on a machine whose CPU can trap CPUID."""
OPENCL = Required("HETCOMP_REQUIRE_OPENCL")
ARM = Required("HETCOMP_REQUIRE_ARM")
ARM_IN_FULL = Required("HETCOMP_TEST_ARM")
"""Tests that take minutes, too; set by `make test-arm`."""
