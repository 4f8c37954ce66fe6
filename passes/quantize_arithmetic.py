"""What is left of `quantize` and `dequantize` as arithmetic that layout and fusion understand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax

from .quantized_grid import quantize_tail
from .quantized_values import along_axis, call_name, quantized_constant
from .relax_values import constant_value, dims_of_expr, dtype_of
from .rewrite import rewrite_functions

__all__ = ["QuantizeArithmetic"]


@tvm.transform.module_pass(opt_level=0, name="QuantizeArithmetic")
@dataclass(frozen=True)
class QuantizeArithmetic:
    """`quantize` and `dequantize` to element-wise operators; of constants, to constants.

    Rounds half to even, as ONNX does; TVM's own lowering rounds half away from zero.
    """

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        return relax.transform.DeadCodeElimination()(rewrite_functions(mod, _Rewriter(mod)))


@relax.expr_functor.mutator
class _Rewriter(relax.PyExprMutator):  # type: ignore[misc]
    def visit_call_(self, call: Any) -> Any:
        """Replace the two operators."""
        call = self.builder_.normalize(self.visit_expr_post_order(call))
        name = call_name(call)
        if name == "relax.dequantize":
            return self._dequantize(call)
        return self._quantize(call) if name == "relax.quantize" else call

    def _lookup(self, expr: Any) -> Any:
        return self.lookup_binding(expr) if isinstance(expr, relax.Var) else expr

    def _dequantize(self, call: Any) -> Any:
        constant = quantized_constant(call, self._lookup)
        if constant is not None:
            return relax.const(constant.floats)
        values, scale, zero_point = call.args
        if dtype_of(call) != "float32":
            return call
        emit = self.builder_.emit
        scale, zero_point = self._along(call, scale), self._along(call, zero_point)
        point = constant_value(zero_point)
        if point is None or point.any():
            zero_point = emit(relax.op.astype(zero_point, "int32"))
            values = emit(relax.op.astype(values, "int32"))
            values = emit(relax.op.subtract(values, zero_point))
        return relax.op.multiply(emit(relax.op.astype(values, "float32")), scale)

    def _quantize(self, call: Any) -> Any:
        point = constant_value(call.args[2])
        dtype = dtype_of(call)
        if dtype not in ("int8", "uint8", "int16", "uint16") or dtype_of(call.args[0]) != "float32":
            return call
        if point is None or point.size != 1:
            return self._quantize_by_axis(call, dtype)
        emit = self.builder_.emit
        scaled = emit(relax.op.divide(call.args[0], self._along(call, call.args[1])))
        return quantize_tail(emit, scaled, int(point.reshape(())), dtype)

    def _quantize_by_axis(self, call: Any, dtype: str) -> Any:
        emit, limits = self.builder_.emit, np.iinfo(dtype)
        scaled = emit(relax.op.divide(call.args[0], self._along(call, call.args[1])))
        point = emit(relax.op.astype(self._along(call, call.args[2]), "float32"))
        moved = emit(relax.op.add(emit(relax.op.round(scaled)), point))
        floor = emit(relax.op.maximum(moved, relax.const(float(limits.min), "float32")))
        within = emit(relax.op.minimum(floor, relax.const(float(limits.max), "float32")))
        return relax.op.astype(within, dtype)

    def _along(self, call: Any, parameter: Any) -> Any:
        """A scale or zero point shaped to broadcast along the axis of `call`."""
        rank = len(dims_of_expr(call) or ())
        axis = int(call.attrs.axis) % max(1, rank)
        dims = dims_of_expr(parameter) or ()
        array = constant_value(parameter)
        if array is not None:
            array = array.reshape(()) if array.size == 1 else array
            return relax.const(along_axis(array, axis, rank))
        if not dims:
            return parameter
        shape = [dims[0] if position == axis else 1 for position in range(rank)]
        return self.builder_.emit(relax.op.reshape(parameter, shape))
