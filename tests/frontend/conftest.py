"""Helpers for the frontend's tests: small models from text, and two ways to run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import tvm
from onnx import numpy_helper
from tvm import relax

from hetcomp.errors import HetcompError
from hetcomp.frontend import ImportedModel, import_onnx

Array = npt.NDArray[Any]


def _parse(
    body: str,
    *,
    opset: int = 17,
    weights: Mapping[str, Any] | None = None,
    domains: str = "",
    ir: int = 8,
) -> onnx.ModelProto:
    head = f'<ir_version: {ir}, opset_import: ["" : {opset}{domains}]> '
    model = onnx.parser.parse_model(head + body)
    for name, value in (weights or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


def _to_numpy(value: Any) -> Array:
    array: Array = value.numpy()
    return array


def _execute(imported: ImportedModel, feeds: Mapping[str, Array]) -> list[Array]:
    mod = relax.transform.DecomposeOpsForInference()(imported.mod)
    executable = tvm.compile(relax.transform.LegalizeOps()(mod), "llvm")
    machine = relax.VirtualMachine(executable, tvm.cpu())
    arguments = [tvm.runtime.tensor(feeds[spec.name]) for spec in imported.inputs]
    result = machine["main"](*arguments)
    if len(imported.outputs) == 1:
        return [_to_numpy(result)]
    return [_to_numpy(field) for field in result]


def _reference(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return [np.asarray(result) for result in session.run(None, dict(feeds))]


def _operators(imported: ImportedModel) -> list[str]:
    """Names of the Relax operators in `main`, in order; ``call_tir`` included."""
    names: list[str] = []

    def visit(expr: Any) -> None:
        if isinstance(expr, tvm.ir.Call) and isinstance(expr.op, tvm.ir.Op):
            names.append(str(expr.op.name))

    relax.analysis.post_order_visit(imported.mod["main"], visit)
    return names


def _failure(kind: type[HetcompError], model: Any, **shapes: Any) -> str:
    """Return the text of the error that importing gives; its type must be exactly `kind`."""
    with pytest.raises(HetcompError) as caught:
        import_onnx(model, shapes=shapes or None)
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


@pytest.fixture(scope="session")
def failure() -> Callable[..., str]:
    return _failure


@pytest.fixture(scope="session")
def parse() -> Callable[..., onnx.ModelProto]:
    return _parse


@pytest.fixture(scope="session")
def execute() -> Callable[..., list[Array]]:
    return _execute


@pytest.fixture(scope="session")
def reference() -> Callable[..., list[Array]]:
    return _reference


@pytest.fixture(scope="session")
def operators() -> Callable[[ImportedModel], list[str]]:
    return _operators
