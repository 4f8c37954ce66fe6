"""All networks of the zoo, small, for an emulated ARM core: how far their outputs are from x86's.

`PYTHONPATH=tests/support python tests/targets/arm_zoo.py` compiles each for both, in floats and in
8-bit integers (QDQ form), runs one inference by either and compares them, and both with ONNX
Runtime. Errors are relative to an output's largest value. Floats are to be equal within 1e-5, and
integers bit by bit; what a last float operator makes of them is in floats again, and where floats
lie between integers, such as in a softmax, a value at the middle of two steps may become either.
With `--values` every quantised value of a network is an output, and only integers are counted.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from arm_machine import TRIPLE, ArmMachine
from quantized_outputs import with_quantized_outputs

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.reference import reference_outputs, relative_error
from hetcomp.options import CompileOptions

TOLERANCE = 1e-5
FORMS = ("f32", "int8")
SEED = 11
TIMEOUT_S = 300.0
OPTIONS = CompileOptions(plan="cpu", gpu=False)
Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Row:
    """Errors of one network's worst output, and how many values are not the same bits."""

    network: str
    form: str
    arm_to_x86: float
    arm_to_onnxruntime: float
    x86_to_onnxruntime: float
    different: int
    values: int

    @property
    def verdict(self) -> str:
        """How equal ARM's and x86's outputs are."""
        if self.different == 0:
            return "same bits"
        return "equal" if self.arm_to_x86 <= TOLERANCE else "DIFFERS"

    @property
    def line(self) -> str:
        """Of the table."""
        errors = (self.arm_to_x86, self.arm_to_onnxruntime, self.x86_to_onnxruntime)
        figures = "".join(f"{error:10.1e}" for error in errors)
        bits = f"{self.different:8}/{self.values:<8}"
        return f"{self.network:16}{self.form:6}{figures}{bits}{self.verdict}"


HEADER = f"{'network':16}{'form':6}{'arm-x86':>10}{'arm-ort':>10}{'x86-ort':>10}{'bits':>8}/values"


def compare(network: str, form: str, core: str, folder: Path, *, values: bool = False) -> Row:
    """Compile, run and compare one network."""
    model = zoo.build(network, **zoo.small_size(network), qdq=form != FORMS[0])
    model = with_quantized_outputs(model) if values else model
    feeds = zoo.random_inputs(model, SEED)
    onnx.save(model, folder / "model.onnx")
    expected = reference_outputs(folder / "model.onnx", feeds)
    on_x86 = _on_x86(model, feeds, folder / "x86.so")
    so = folder / "arm.so"
    hetcomp.compile(model, output=so, target=f"{TRIPLE},cpu={core}", options=OPTIONS)
    on_arm = ArmMachine(folder, core, timeout_s=TIMEOUT_S).infer(so, feeds).outputs
    counted = [name for name in on_x86 if not values or on_x86[name].dtype.kind in "iu"]
    return Row(
        network,
        form,
        _worst(on_arm, on_x86),
        _worst(on_arm, expected),
        _worst(on_x86, expected),
        sum(np.count_nonzero(on_arm[name] != on_x86[name]) for name in counted),
        sum(on_x86[name].size for name in counted),
    )


def _on_x86(model: onnx.ModelProto, feeds: Arrays, so: Path) -> Arrays:
    hetcomp.compile(model, output=so, options=OPTIONS)
    with hetcomp.load(so) as session:
        return dict(session.run(feeds))


def _worst(found: Arrays, expected: Arrays) -> float:
    return max(relative_error(found[name], array) for name, array in expected.items())


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=",".join(zoo.names()))
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--core", default="cortex-a76")
    parser.add_argument("--values", action="store_true", help="every quantised value")
    given = parser.parse_args()
    print(HEADER)
    for network in given.networks.split(","):
        for form in given.forms.split(","):
            with tempfile.TemporaryDirectory() as folder:
                row = compare(network, form, given.core, Path(folder), values=given.values)
            print(row.line, flush=True)


if __name__ == "__main__":
    main()
