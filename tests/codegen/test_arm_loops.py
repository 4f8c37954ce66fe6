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
OF_ONE = {"fmadd", "fmsub", "fnmadd", "fnmsub"}
OF_LANES = {"fmla", "fmls"}


def is_scalar(one: Instruction) -> bool:
    """Whether it multiplies and adds single numbers: `fmla s0, s1, v2.s[1]` does, too."""
    return one.name in OF_ONE or (one.name in OF_LANES and one.operands[0] in "hsd")


def is_vector(one: Instruction) -> bool:
    return one.name in OF_LANES and not is_scalar(one)


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
                vector += sum(map(is_vector, loop))
                scalar += [f"{function}: {one.text}" for one in loop if is_scalar(one)]
    assert vector > len(lowered.kernels)
    assert not scalar


@pytest.mark.parametrize(
    ("text", "scalar"),
    [
        ("fmadd s0, s1, s2, s3", True),
        ("fmla s0, s1, v2.s[1]", True),
        ("fmla v0.4s, v1.4s, v2.s[1]", False),
        ("fadd s0, s1, s2", False),
    ],
)
def test_what_multiplies_single_numbers(text: str, scalar: bool) -> None:
    name, operands = text.split(" ", 1)
    one = Instruction("kernel", name, operands, None)
    assert is_scalar(one) is scalar
