"""An inference takes no more instructions on ARM than with ONNX Runtime; run by `make test-arm`."""

from __future__ import annotations

from pathlib import Path

import pytest
from arm_instructions import compare, fetch_peers
from arm_machine import needs_everything

MOST = 1.1
"""Instructions over ONNX Runtime's; 0.42, 0.42 and 0.87 were counted at 64 pixels or tokens."""
SMALL = 32

pytestmark = needs_everything


@pytest.mark.parametrize("network", ["mobilenetv2", "resnet18", "bert_tiny"])
def test_instructions_of_an_inference(network: str, tmp_path: Path) -> None:
    row = compare(network, SMALL, "cortex-a76", tmp_path, fetch_peers())
    assert row.ratio <= MOST, row
