"""Products of four 8-bit integers per lane: `acc + a0 b0 + a1 b1 + a2 b2 + a3 b3` in int32.

`a` is a word of four unsigned activations for all lanes, `b` a vector of words of four signed
weights. Which instruction does it is a fact of the processor (`DeviceFacts.dot`):

vpdpbusd
    x86 with AVX-512 VNNI or AVX-VNNI: one instruction.
vpmaddwd
    Other x86: bytes widened to 16 bits, two multiplications of pairs. Exact, where `vpmaddubsw`
    would saturate.
usdot
    ARM with i8mm: one instruction. Tiles of several rows multiply matrices instead
    (`hetcomp.schedules.blocks.matrix_tile`).
sdot
    ARM with dotprod: both operands signed, so 128 is taken off the activations and 128 times the
    weights is added again: for each product, or once for all accumulators that add up the same
    weights (`signed_dot` and `surplus`).
smull
    Other ARM: tiles have a way of their own (`hetcomp.schedules.blocks.pair_tile`).
(empty)
    Shifts and multiplications, on anything. OpenCL has functions of the kernels' text for it
    (`hetcomp.codegen.opencl_text`).
"""

from __future__ import annotations

from typing import Any

from tvm import tirx

from ..facts import DeviceFacts

__all__ = ["dot", "has_surplus", "signed", "signed_dot", "surplus", "word_at"]

_VPDPBUSD = {16: "512", 8: "256", 4: "128"}
_VPMADDWD = {
    16: "llvm.x86.avx512.pmaddw.d.512",
    8: "llvm.x86.avx2.pmadd.wd",
    4: "llvm.x86.sse2.pmadd.wd",
}
_NEON_LANES = 4
_SDOT = "llvm.aarch64.neon.sdot.v4i32.v16i8"
_EVEN_BYTES = 0x00FF00FF
_ALL_SIGNS = -0x7F7F7F80  # 0x80808080, four times -128
_BYTES = (0, 8, 16, 24)


def word_at(facts: DeviceFacts, buffer: Any, index: Any, words: int = 1) -> Any:
    """Four consecutive bytes of `buffer` from `index` on, as one int32; any alignment. A vector of
    so many `words`, but on OpenCL."""
    if facts.opencl:
        address = tirx.address_of(buffer[index])
        return tirx.call_extern("int32", "HETCOMP_WORD", address)
    kind = f"int32x{words}" if words > 1 else "int32"
    return tirx.reinterpret(kind, buffer[tirx.Ramp(index, 1, 4 * words)])


def dot(facts: DeviceFacts, accumulator: Any, word: Any, weights: Any, lanes: int) -> Any:
    """`accumulator` (`lanes` int32) plus the products of `word` with each lane of `weights`."""
    if facts.opencl:
        kind = f"int32x{lanes}" if lanes > 1 else "int32"
        return tirx.call_extern(kind, f"HETCOMP_DOT_{lanes}", accumulator, word, weights)
    if facts.dot == "vpdpbusd" and lanes in _VPDPBUSD:
        name = f"llvm.x86.avx512.vpdpbusd.{_VPDPBUSD[lanes]}"
        return _bytes_intrinsic(name, accumulator, word, weights, lanes)
    if facts.dot == "vpmaddwd" and lanes in _VPMADDWD:
        return _pairs(_VPMADDWD[lanes], accumulator, word, weights, lanes)
    if facts.dot == "usdot" and lanes == _NEON_LANES:
        name = "llvm.aarch64.neon.usdot.v4i32.v16i8"
        return _bytes_intrinsic(name, accumulator, word, weights, lanes)
    if has_surplus(facts, lanes):
        total = signed_dot(accumulator, signed(word), weights, lanes)
        return total - surplus(_broadcast(_i(0), lanes), weights, lanes)
    return _plain(accumulator, word, weights, lanes)


def has_surplus(facts: DeviceFacts, lanes: int) -> bool:
    """Whether the processor multiplies signed bytes only."""
    return facts.dot == "sdot" and lanes == _NEON_LANES and not facts.opencl


def signed(words: Any, count: int = 1) -> Any:
    """Bytes less 128 each, which makes them signed: a word, or a vector of `count`."""
    return words ^ _broadcast(_i(_ALL_SIGNS), count)


def signed_dot(accumulator: Any, word: Any, weights: Any, lanes: int) -> Any:
    """The products of a `signed` word: `dot`'s less 128 times the sum of each lane's weights."""
    return _signed_intrinsic(accumulator, word, weights, lanes)


def surplus(total: Any, weights: Any, lanes: int) -> Any:
    """`total` plus what `signed_dot` adds too much: -128 times the sum of each lane's weights."""
    return _signed_intrinsic(total, _i(_ALL_SIGNS), weights, lanes)


def _signed_intrinsic(accumulator: Any, word: Any, weights: Any, lanes: int) -> Any:
    """The word comes second: there the instruction takes a lane for all lanes."""
    kind = f"int8x{4 * lanes}"
    operands = (tirx.reinterpret(kind, weights), tirx.reinterpret(kind, _broadcast(word, lanes)))
    return tirx.call_llvm_pure_intrin(f"int32x{lanes}", _SDOT, accumulator, *operands)


def _bytes_intrinsic(name: str, accumulator: Any, word: Any, weights: Any, lanes: int) -> Any:
    kind = f"int8x{4 * lanes}"
    left = tirx.reinterpret(kind, _broadcast(word, lanes))
    right = tirx.reinterpret(kind, weights)
    return tirx.call_llvm_pure_intrin(f"int32x{lanes}", name, accumulator, left, right)


def _pairs(name: str, accumulator: Any, word: Any, weights: Any, lanes: int) -> Any:
    halves = f"int16x{2 * lanes}"
    wide = tirx.reinterpret(halves, weights)
    eight = tirx.Broadcast(tirx.const(8, "int16"), 2 * lanes)
    total = accumulator
    for left, right in (
        (word & _i(_EVEN_BYTES), (wide << eight) >> eight),
        ((word >> _i(8)) & _i(_EVEN_BYTES), wide >> eight),
    ):
        pairs = tirx.reinterpret(halves, _broadcast(left, lanes))
        total = total + tirx.call_llvm_pure_intrin(f"int32x{lanes}", name, pairs, right)
    return total


def _plain(accumulator: Any, word: Any, weights: Any, lanes: int) -> Any:
    total = accumulator
    for shift in _BYTES:
        left = _broadcast((word >> _i(shift)) & _i(0xFF), lanes)
        up, down = (_broadcast(_i(24 - shift), lanes), _broadcast(_i(24), lanes))
        total = total + left * ((weights << up) >> down)
    return total


def _broadcast(value: Any, lanes: int) -> Any:
    return tirx.Broadcast(value, lanes) if lanes > 1 else value


def _i(value: int) -> Any:
    return tirx.IntImm("int32", value)
