"""OpenCL C for kernels that multiply bytes: what TVM's printer has no words for.

`HETCOMP_DOT_n(acc, x, w)` adds the products of four unsigned bytes `x` with four signed bytes of
each lane of `w`. A compiler for x86 has 16-bit multiplications of pairs; where the runtime says
that the CPU has an instruction for dot products (`HETCOMP_X86_VNNI`), it is written as such, since
PoCL's compiler may not know that. A compiler with cl_khr_integer_dot_product has a function, which
GPUs have an instruction for; elsewhere shifts serve.

Words lie at multiples of four bytes, for steps of four fill the rows of whatever is multiplied.
"""

from __future__ import annotations

__all__ = ["BYTES_PROLOGUE"]

_X86 = {16: ("__AVX512BW__", "pmaddwd512"), 8: ("__AVX2__", "pmaddwd256")}
_VNNI_LANES = 16
_HEAD = """\
#define HETCOMP_WORD(p) (*(const __global int*)(p))
#define HETCOMP_FLOATS_16(p) convert_float16(vload16(0, (const __global uchar*)(p)))
#define HETCOMP_FLOATS_8(p) convert_float8(vload8(0, (const __global uchar*)(p)))
#define HETCOMP_FLOATS_4(p) convert_float4(vload4(0, (const __global uchar*)(p)))
#define HETCOMP_FLOATS_2(p) convert_float2(vload2(0, (const __global uchar*)(p)))
#define HETCOMP_FLOATS_1(p) ((float)*(const __global uchar*)(p))
"""
_PLAIN = """\
inline __attribute__((always_inline)) {int} HETCOMP_DOT_{n}({int} acc, int x, {int} w) {{
  return acc + ((w << 24) >> 24) * (x & 255) + ((w << 16) >> 24) * ((x >> 8) & 255)
      + ((w << 8) >> 24) * ((x >> 16) & 255) + (w >> 24) * ((x >> 24) & 255);
}}
"""
_FUNCTION = """\
#ifdef __opencl_c_integer_dot_product_input_4x8bit_packed
inline __attribute__((always_inline)) {int} HETCOMP_DOT_{n}({int} acc, int x, {int} w) {{
  return acc + ({int})({each});
}}
#else
{plain}#endif
"""
_INSTRUCTION = """\
#if defined(HETCOMP_X86_VNNI) && defined(__AVX512F__)
inline __attribute__((always_inline)) int16 HETCOMP_DOT_16(int16 acc, int x, int16 w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"((int16)(x)), "v"(w));
  return acc;
}
"""
_PAIRS = """\
{branch} defined({macro})
typedef short hetcomp_pairs_{n} __attribute__((__vector_size__({bytes})));
inline __attribute__((always_inline)) {int} HETCOMP_DOT_{n}({int} acc, int x, {int} w) {{
  {int} even = ({int})(x & 0x00ff00ff), odd = ({int})((x >> 8) & 0x00ff00ff);
  hetcomp_pairs_{n} pairs = __builtin_astype(w, hetcomp_pairs_{n});
  return acc
      + __builtin_astype(__builtin_ia32_{builtin}(
            __builtin_astype(even, hetcomp_pairs_{n}), (pairs << 8) >> 8), {int})
      + __builtin_astype(__builtin_ia32_{builtin}(
            __builtin_astype(odd, hetcomp_pairs_{n}), pairs >> 8), {int});
}}
#else
{plain}#endif
"""


def _dot(lanes: int) -> str:
    kind = f"int{lanes}" if lanes > 1 else "int"
    plain = _PLAIN.format(int=kind, n=lanes)
    if lanes not in _X86:
        words = [f"w.s{lane}" for lane in range(lanes)] if lanes > 1 else ["w"]
        each = ", ".join(f"dot_4x8packed_us_int(as_uint(x), as_uint({word}))" for word in words)
        return _FUNCTION.format(int=kind, n=lanes, each=each, plain=plain)
    macro, builtin = _X86[lanes]
    first = _INSTRUCTION if lanes == _VNNI_LANES else ""
    return first + _PAIRS.format(
        branch="#elif" if first else "#if",
        macro=macro,
        builtin=builtin,
        n=lanes,
        bytes=4 * lanes,
        int=kind,
        plain=plain,
    )


BYTES_PROLOGUE = _HEAD + "".join(_dot(lanes) for lanes in (1, 2, 4, 8, 16))
"""To be put before the kernels that use its names."""
