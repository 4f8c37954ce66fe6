"""Spin goes through all interleavings of the protocols between CPU and device.

The models are in tests/models. Each knows some ways of breaking the protocol, which must be seen.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

_MODELS = Path(__file__).parents[1] / "models"


def explore(model: str, folder: Path, **defines: int) -> str:
    """What Spin's search says: `` or the first property that does not hold."""
    if shutil.which("spin") is None:
        pytest.skip("no model checker: install spin")
    flags = [f"-D{name}={value}" for name, value in defines.items()]
    made = subprocess.run(
        ["spin", *flags, "-a", str(_MODELS / model)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120.0,
    )
    assert made.returncode == 0, made.stdout
    subprocess.run(
        ["cc", "-O1", "-w", "-DSAFETY", "-o", "pan", "pan.c"], cwd=folder, check=True, timeout=120.0
    )
    done = subprocess.run(
        ["./pan", "-m100000"], cwd=folder, capture_output=True, text=True, timeout=120.0
    )
    assert "max search depth too small" not in done.stdout
    errors = re.search(r"errors: (\d+)", done.stdout)
    assert errors, done.stdout
    problem = re.search(r"pan:1: (.*) \(at depth", done.stdout)
    assert (problem is None) == (errors[1] == "0"), done.stdout
    return problem[1] if problem else ""


@pytest.mark.parametrize("clock", [0, 1])
def test_gates_epochs_and_aborts(tmp_path: Path, clock: int) -> None:
    assert explore("gate.pml", tmp_path, CLOCK=clock) == ""


@pytest.mark.parametrize(
    ("bug", "clock", "problem"),
    [
        (1, 1, "live==opened"),
        (1, 0, "invalid end state"),  # a dead-lock
        (2, 1, "live==opened"),
        (3, 0, "invalid end state"),
        (4, 0, "invalid end state"),
        (5, 1, "answer==inference"),
        (6, 1, "queue"),
        (7, 1, "stepped==1"),
    ],
)
def test_a_broken_gate_is_seen(tmp_path: Path, bug: int, clock: int, problem: str) -> None:
    assert problem in explore("gate.pml", tmp_path, BUG=bug, CLOCK=clock)


@pytest.mark.parametrize(("leave", "clock"), [(0, 0), (0, 1), (1, 1), (2, 1)])
def test_tickets(tmp_path: Path, leave: int, clock: int) -> None:
    assert explore("tickets.pml", tmp_path, LEAVE=leave, CLOCK=clock) == ""


@pytest.mark.parametrize(
    ("bug", "problem"),
    [
        (1, "number<2"),
        (2, "number<2"),
        (3, "==1"),
        (4, "==1"),
        (5, "==1"),
        (6, "==1"),  # a late kernel writes to the CPU's outputs
        (7, "==1"),  # it takes tickets of the next inference
        (8, "==1"),  # an output is missing
        (9, "==1"),
    ],
)
def test_broken_tickets_are_seen(tmp_path: Path, bug: int, problem: str) -> None:
    found = explore("tickets.pml", tmp_path, BUG=bug)
    assert "assertion violated" in found
    assert problem in found
