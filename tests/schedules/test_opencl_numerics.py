"""Random layers of every family on the OpenCL device against f64, in batches."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from arena import ALIGNMENT, Arena, Image, Trial, run_trials
from batches import BATCHES
from families import FAMILIES
from hypothesis import given
from hypothesis import strategies as st
from kernel_harness import FILLS, HOST, compile_kernels, lower
from layer_case import Case, assert_within
from opencl_device import NEEDS_OPENCL
from opencl_host import compile_opencl

from hetcomp.device_class import find_groups

pytestmark = NEEDS_OPENCL
OF_EACH = 2
"""Layers of each family in a batch; the first batch has the smallest."""


@pytest.mark.parametrize("device_class", ["cpu-like", "gpu"])
@BATCHES
@given(
    cases=st.tuples(*[st.tuples(*[family] * OF_EACH) for family in FAMILIES.values()]),
    seed=st.integers(0, 2**32 - 1),
)
def test_on_the_device(cases: Any, seed: int, device_class: str) -> None:
    """Right values; random cuts that fit; nothing read or written beside a buffer."""
    flat: list[Case] = [case for family in cases for case in family]
    groups = find_groups(device_class)
    trials = [Trial(lower(case.model, groups=groups), dict(case.feeds)) for case in flat]
    outputs = run_trials(trials, seed, execute)
    for case, trial, got in zip(flat, trials, outputs, strict=True):
        winograd = any("winograd" in k.scheduled.variant for k in trial.lowered.kernels)
        assert_within(case, got, winograd=winograd)


def execute(arena: Arena) -> list[Image]:
    """All calls of `arena` on the device, those without an OpenCL kernel on the CPU."""
    on_device = compile_opencl(arena.kernels, arena.records, HOST.opencl)
    on_cpu = compile_kernels(arena.kernels, HOST.cpu)
    images = []
    for fill in FILLS:
        memory = np.empty(arena.size + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        image = memory[start : start + arena.size]
        image[:] = arena.image(fill)
        for call in arena.calls:
            record = arena.records[call.kernel]
            function = (on_device if record.opencl else on_cpu)(record.symbol)
            places = [ctypes.c_void_p(image.ctypes.data + place.offset) for place in call.places]
            part = call.part
            function(*places, part.row_begin, part.row_end, part.channel_begin, part.channel_end)
        images.append(image)
    return images
