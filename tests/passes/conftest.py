"""Every pass runs on well-formed modules and leaves well-formed modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tvm
from tvm.relax.ir.instrument import WellFormedInstrument

# The kernel harness: small ONNX models, and their kernels run in this process.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "schedules"))


@pytest.fixture(autouse=True)
def well_formed() -> Iterator[None]:
    with tvm.transform.PassContext(instruments=[WellFormedInstrument()]):
        yield
