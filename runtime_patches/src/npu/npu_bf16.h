// bfloat16: numbers that are the upper half of a float32, and sums of their products.
#ifndef HETCOMP_NPU_BF16_H_
#define HETCOMP_NPU_BF16_H_

#include <cstdint>
#include <cstring>

#include "npu/npu_values.h"

namespace hetcomp {

// The pairs of the depth that are summed by themselves, before their sum is added: a row of a tile.
constexpr int kNpuRunPairs = 16;

inline uint32_t BitsOf(float number) {
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  return bits;
}

inline float FloatOf(uint32_t bits) {
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

// A number too small for a normal one is 0 with its sign.
inline float Flushed(float number) {
  const uint32_t bits = BitsOf(number);
  return FloatOf((bits & 0x7fffffffu) < 0x00800000u ? bits & 0x80000000u : bits);
}

// The nearest, ties to even, no larger than the largest; `HalfFormat.stored` in
// schedules/half.py.
inline float RoundedToBf16(float number) {
  constexpr uint32_t kLargest = 0x7f7f0000u;
  const uint32_t bits = BitsOf(number), sign = bits & 0x80000000u, size = bits & 0x7fffffffu;
  const uint32_t kept = size < kLargest ? size : kLargest;
  const uint32_t upper = kept + 0x7fffu + (kept >> 16 & 1u);
  return FloatOf(size > 0x7f800000u ? 0x7fc00000u : sign | (upper & 0xffff0000u));
}

// `a * b + c` rounded once; a result that is too small for a normal one after rounding, its
// exponent unlimited, is 0. The arguments are flushed.
float FlushedFma(float a, float b, float c);

// Sums of products of pairs, for some columns, as `tdpbf16ps` adds them. The first numbers of a
// run's pairs have a sum of their own, the second ones too, each by fused multiply-adds from 0 on;
// at the run's end both are added, and that to the sums. What is too small for a normal float32
// counts as 0 everywhere.
class NpuPairSums {
 public:
  // `sums` are set to 0.
  NpuPairSums(int count, float* sums);

  // A pair of the left operand, and one for each column of the right.
  void Add(const char* left, const char* right);
  // The next pair begins a run; so does every 17th of itself.
  void EndRun();

 private:
  const int count_;
  float* const sums_;
  int pairs_ = 0;
  float partial_[2][kNpuLanes];
};

}  // namespace hetcomp

#endif  // HETCOMP_NPU_BF16_H_
