// Portable arithmetic of bfloat16 against this CPU's, on drawn numbers about the least normal one:
// fused multiply-adds with denormals as zeros, and where the CPU has it VDPBF16PS.
#include <cstdio>
#include <random>

#include "npu/npu_bf16.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace hetcomp {
namespace {

constexpr int kDraws = 2000000;

// Of a sign, an exponent near `about`, and 7 or 23 drawn bits.
float Draw(std::mt19937* bits, int about, uint32_t mask) {
  const uint32_t drawn = static_cast<uint32_t>((*bits)());
  const int exponent = about + static_cast<int>((*bits)() % 5) - 2;
  const uint32_t size = static_cast<uint32_t>(exponent < 1 ? 0 : exponent) << 23;
  return FloatOf((drawn & 0x80000000u) | size | (exponent < 1 ? 0 : drawn & mask));
}

__attribute__((target("fma"))) float ByFma(float a, float b, float c) {
  _mm_setcsr(0x1f80 | 0x8040);
  const float sum = _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c)));
  _mm_setcsr(0x1f80);
  return sum;
}

__attribute__((target("avx512bf16,avx512vl"))) float ByDot(float a, float b, float c) {
  const auto pair = [](float number) {
    return reinterpret_cast<__m128bh>(_mm_cvtsi32_si128(static_cast<int>(BitsOf(number) >> 16)));
  };
  return _mm_cvtss_f32(_mm_dpbf16_ps(_mm_set_ss(c), pair(a), pair(b)));
}

int Main() {
  std::mt19937 bits(7);
  const bool dots = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl");
  int reached = 0;
  for (int i = 0; i < kDraws; ++i) {
    const float a = Draw(&bits, 64, 0x7f0000), b = Draw(&bits, 62, 0x7f0000);
    float c = Draw(&bits, 2, 0x7fffff);
    if (i % 2 == 0) c = Flushed(static_cast<float>((i % 4 ? 0x1p-126 : -0x1p-126) - double{a} * b));
    const float sum = FlushedFma(a, b, c);
    reached += std::abs(sum) == 0x1p-126f;
    if (BitsOf(sum) != BitsOf(ByFma(a, b, c)) || (dots && sum != ByDot(a, b, c))) {
      std::printf("%a * %a + %a: %a, not %a\n", a, b, c, sum, ByFma(a, b, c));
      return 1;
    }
  }
  std::printf("%d equal, %d the least, %s vdpbf16ps\n", kDraws, reached, dots ? "with" : "without");
  return 0;
}

}  // namespace
}  // namespace hetcomp

int main() { return hetcomp::Main(); }

#else

int main() { return 77; }

#endif
