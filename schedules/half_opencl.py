"""float16 in OpenCL C: read and converted by functions of the text, which take what the device has.

See `hetcomp.codegen.opencl_half`. TVM vectorises calls of operators that say they allow it, and no
others; so these are operators, which become calls of the functions when TVM lowers intrinsics.
"""

from __future__ import annotations

from typing import Any

from tvm import ir, tirx

__all__ = [
    "F16_BITS",
    "FLOAT_OF_F16",
    "HALF_OF_F16",
    "call_f16_bits",
    "call_float_of_f16",
    "call_half_of_f16",
]

FLOAT_OF_F16 = "HETCOMP_FLOAT_OF_F16"
HALF_OF_F16 = "HETCOMP_HALF_OF_F16"
F16_BITS = "HETCOMP_F16_BITS"
_PURE = 1
"""TVM's `CallEffectKind.kPure`."""


def _register(function: str) -> Any:
    name = f"hetcomp.{function.lower()}"
    ir._ffi_api.RegisterOp(name, "OpenCL C's " + function)
    ir.register_op_attr(name, "TVectorizable", True)
    ir.register_op_attr(name, "TCallEffectKind", _PURE)
    tirx.register_intrin_lowering(
        name,
        target="opencl",
        f=lambda call: tirx.call_pure_extern(str(call.ty.dtype), function, call.args[0]),
    )
    return ir.Op.get(name)


_FLOAT_OF_F16 = _register(FLOAT_OF_F16)
_HALF_OF_F16 = _register(HALF_OF_F16)
_F16_BITS = _register(F16_BITS)


def call_float_of_f16(stored: Any) -> Any:
    """The float32 with the value of the float16 whose bits `stored`, an uint16, are."""
    return _call(_FLOAT_OF_F16, stored, "float32")


def call_half_of_f16(stored: Any) -> Any:
    """The float16 whose bits `stored`, an uint16, are."""
    return _call(_HALF_OF_F16, stored, "float16")


def call_f16_bits(value: Any) -> Any:
    """The float16 next to a float32, which is no larger than the largest, as an uint16."""
    return _call(_F16_BITS, value, "uint16")


def _call(operator: Any, value: Any, kind: str) -> Any:
    lanes = value.ty.dtype.lanes
    kind = f"{kind}x{lanes}" if lanes > 1 else kind
    return ir.Call(operator, [value], ret_ty=ir.PrimType(kind))
