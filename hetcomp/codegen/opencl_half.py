"""OpenCL C for kernels that keep float16 in memory: conversion by what the device has.

That is the extension cl_khr_fp16, an instruction of an x86 CPU, or integer arithmetic. Kernels
that multiply float16 do so where the extension is, and in float32 elsewhere: one text runs on every
device.
"""

from __future__ import annotations

from hetcomp.schedules.half_opencl import F16_BITS, FLOAT_OF_F16, HALF_OF_F16

__all__ = ["HALF_PROLOGUE"]

_HEAD = """\
#ifdef cl_khr_fp16
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#ifdef HETCOMP_ACCESSES
HETCOMP_ACCESSES(half)
#endif
#endif
#define HETCOMP_INLINE inline __attribute__((overloadable, always_inline))
"""
_EXTENSION = """\
HETCOMP_INLINE float{n} {to_float}(ushort{n} h) {{ return convert_float{n}(as_half{n}(h)); }}
HETCOMP_INLINE half{n} {to_half}(ushort{n} h) {{ return as_half{n}(h); }}
HETCOMP_INLINE ushort{n} {to_bits}(float{n} x) {{ return as_ushort{n}(convert_half{n}_rte(x)); }}
"""
_WIDER = """\
#ifndef cl_khr_fp16
#define half{n} float{n}
HETCOMP_INLINE float{n} {to_half}(ushort{n} h) {{ return {to_float}(h); }}
#endif
"""
_INTEGERS = """\
HETCOMP_INLINE float{n} {to_float}(ushort{n} h) {{
  uint{n} bits = convert_uint{n}(h), size = (bits & 0x7fff) << 13;
  uint{n} number = as_uint{n}(as_float{n}(size) * 0x1p112f);
  number = select(number, size | 0x7f800000, {mask}(size >= 0x0f800000));
  return as_float{n}(number | (bits & 0x8000) << 16);
}}
HETCOMP_INLINE ushort{n} {to_bits}(float{n} x) {{
  uint{n} bits = as_uint{n}(x), size = bits & 0x7fffffff;
  uint{n} half_ = (size + 0xfff + (size >> 13 & 1) - 0x38000000) >> 13;
  uint{n} small = as_uint{n}(as_float{n}(size) + 0.5f) - 0x3f000000;
  half_ = select(half_, small, {mask}(size < 0x38800000));
  half_ = select(half_, (uint{n})0x7e00, {mask}(size > 0x7f800000));
  return convert_ushort{n}(half_ | (bits >> 16 & 0x8000));
}}
"""
_X86 = """\
#elif defined({macro})
typedef short hetcomp_half{n} __attribute__((__vector_size__({n} * 2)));
typedef float hetcomp_single{n} __attribute__((__vector_size__({n} * 4)));
HETCOMP_INLINE float{n} {to_float}(ushort{n} h) {{
  return __builtin_astype(
      __builtin_ia32_vcvtph2ps{load}, float{n});
}}
HETCOMP_INLINE ushort{n} {to_bits}(float{n} x) {{
  return __builtin_astype(
      __builtin_ia32_vcvtps2ph{store}, ushort{n});
}}
"""
_HALF8 = "__builtin_astype(h, hetcomp_half8)"
_FLOAT8 = "__builtin_astype(x, hetcomp_single8)"
_HALF16 = "__builtin_astype(h, hetcomp_half16)"
_FLOAT16 = "__builtin_astype(x, hetcomp_single16)"
_ALL, _CURRENT = "(ushort)0xffff", 4
"""All lanes; the rounding mode in force, to nearest."""
_BUILTINS = {
    8: ("__F16C__", f"256({_HALF8})", f"256({_FLOAT8}, 0)"),
    16: (
        "__AVX512F__",
        f"512_mask({_HALF16}, __builtin_astype((float16)0, hetcomp_single16), {_ALL}, {_CURRENT})",
        f"512_mask({_FLOAT16}, 0, __builtin_astype((short16)0, hetcomp_half16), {_ALL})",
    ),
}


def _functions(lanes: int) -> str:
    names = {"to_float": FLOAT_OF_F16, "to_half": HALF_OF_F16, "to_bits": F16_BITS}
    names["n"] = "" if lanes == 1 else str(lanes)
    x86 = ""
    if lanes in _BUILTINS:
        macro, load, store = _BUILTINS[lanes]
        x86 = _X86.format(**names, macro=macro, load=load, store=store)
    extension = _EXTENSION.format(**names)
    integers = _INTEGERS.format(**names, mask="" if lanes > 1 else "(uint)")
    wider = _WIDER.format(**names)
    return f"#ifdef cl_khr_fp16\n{extension}{x86}#else\n{integers}#endif\n{wider}"


HALF_PROLOGUE = _HEAD + "".join(_functions(lanes) for lanes in (1, 2, 4, 8, 16))
"""To be put before the kernels that use its names."""
