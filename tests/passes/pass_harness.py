"""Small Relax modules, their numbers, and what every pass must do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

Array = npt.NDArray[Any]


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def const(array: Any) -> Any:
    return relax.const(np.asarray(array))


def module(build: Callable[..., Any], *shapes: Sequence[int], dtype: str = "float32") -> Any:
    """`main` of inputs of `shapes`, returning what `build(builder, *inputs)` makes of them."""
    builder = relax.BlockBuilder()
    inputs = [relax.Var(f"x{i}", relax.TensorType(shape, dtype)) for i, shape in enumerate(shapes)]
    with builder.function("main", inputs):
        with builder.dataflow():
            result = builder.emit_output(build(builder, *inputs))
        builder.emit_func_output(result)
    return builder.get()


def operators(mod: Any, function: str = "main") -> list[str]:
    """Operators of a function in order; a call of TIR counts under the name it was made for."""
    found = []
    for block in mod[function].body.blocks:
        for binding in block.bindings:
            value = binding.value
            if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op):
                found.append(str(value.op.name).removeprefix("relax."))
    return found


def evaluate(mod: Any, *arrays: Array) -> Array:
    """The result of `main`, compiled by TVM alone."""
    executable = tvm.compile(relax.transform.LegalizeOps()(mod), "llvm")
    machine = relax.VirtualMachine(executable, tvm.cpu())
    result: Array = machine["main"](*[tvm.runtime.tensor(array) for array in arrays]).numpy()
    return result


def inputs_of(mod: Any) -> list[Array]:
    return [normal(*[int(dim) for dim in p.ty.shape.values], seed=7) for p in mod["main"].params]


def apply(transform: Any, mod: Any, *, tolerance: float = 1e-6) -> Any:
    """`transform(mod)`, checked: input untouched, idempotent, deterministic, numbers unchanged."""
    before = mod.script(show_meta=True)
    once, again = transform(mod), transform(mod)
    assert mod.script(show_meta=True) == before, "the pass changed its input"
    tvm.ir.assert_structural_equal(once, again, map_free_vars=True)
    tvm.ir.assert_structural_equal(transform(once), once, map_free_vars=True)
    arrays = inputs_of(mod)
    np.testing.assert_allclose(
        evaluate(once, *arrays), evaluate(mod, *arrays), rtol=tolerance, atol=tolerance
    )
    return once


def assert_untouched(transform: Any, mod: Any) -> None:
    tvm.ir.assert_structural_equal(transform(mod), mod, map_free_vars=True)
