"""No loop of a network's ARM code multiplies and adds single numbers, whatever its shapes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

import pytest
from arm_machine import needs_everything
from emulated_profile import DISASSEMBLER, Instruction, disassembly

from hetcomp.bench import zoo
from hetcomp.codegen.kernels import cpu_objects
from hetcomp.codegen.lower import lower_tasks
from hetcomp.frontend import import_onnx
from hetcomp.pipeline import fusion_pipeline
from hetcomp.targets import find_target

A76 = find_target("aarch64-linux-gnu,cpu=cortex-a76")
SCALAR = {"fmadd", "fmsub", "fnmadd", "fnmsub"}
VECTOR = {"fmla", "fmls"}


def innermost_loops(code: Mapping[int, Instruction]) -> Iterator[list[Instruction]]:
    """Of one function: from the target of a branch back to the branch, with no such pair within."""
    back = [
        (one.target, at)
        for at, one in code.items()
        if one.target is not None and one.name != "bl" and one.target <= at
    ]
    for begin, end in back:
        if not any(begin <= b and e <= end and (b, e) != (begin, end) for b, e in back):
            yield [one for at, one in code.items() if begin <= at <= end]


@pytest.mark.skipif(shutil.which(DISASSEMBLER) is None, reason=f"{DISASSEMBLER} missing")
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("bert_tiny", 16),
        pytest.param("squeezenet", 32, marks=needs_everything),
        pytest.param("mobilenetv2", 32, marks=needs_everything),
    ],
)
def test_no_loop_multiplies_single_numbers(name: str, size: int, tmp_path: Path) -> None:
    imported = import_onnx(zoo.build(name, size=size))
    lowered = lower_tasks(imported, fusion_pipeline()(imported.mod), A76.cpu, gpu=False)
    vector, scalar = 0, []
    for path in cpu_objects(lowered.kernels, A76.cpu, A76.llvm, tmp_path):
        code = disassembly(path).items()
        for function, part in groupby(code, lambda item: item[1].function):
            for loop in innermost_loops(dict(part)):
                names = [one.name for one in loop]
                vector += sum(found in VECTOR for found in names)
                scalar += [f"{function}: {found}" for found in names if found in SCALAR]
    assert vector > len(lowered.kernels)
    assert not scalar
