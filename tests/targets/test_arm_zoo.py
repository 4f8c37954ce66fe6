"""A network with softmax and layer normalisation between integers: all of them equal x86's."""

from __future__ import annotations

from pathlib import Path

from arm_machine import needs_everything, require_arm
from arm_zoo import TOLERANCE, compare


@needs_everything
def test_every_integer_of_a_network(tmp_path: Path) -> None:
    require_arm()
    row = compare("bert_tiny", "int8", "cortex-a76", tmp_path, values=True)
    assert row.values > 40_000
    assert row.different == 0, row
    assert row.arm_to_x86 <= TOLERANCE, row
