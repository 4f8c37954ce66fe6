#include "npu/npu_bf16.h"

#include <algorithm>
#include <cmath>

#include "npu/npu_wide.h"

namespace hetcomp {
namespace {

constexpr uint32_t kLeastBits = 0x00800000u;

// The lower number of a pair (0) or the upper one (1), denormals being 0.
float Half(const char* pair, int which) {
  uint32_t word;
  std::memcpy(&word, pair, sizeof word);
  return Flushed(FloatOf(which == 0 ? word << 16 : word & 0xffff0000u));
}

// Adds the products of `factor` with one half of each pair in `right`.
void AddHalf(float factor, const char* right, int which, int count, float* sums) {
  float next[kNpuLanes];
  uint32_t doubtful = 0;
  for (int k = 0; k < count; ++k) {
    const float sum = std::fma(factor, Half(right + 4 * k, which), sums[k]);
    doubtful |= static_cast<uint32_t>((BitsOf(sum) & 0x7fffffffu) == kLeastBits);
    next[k] = Flushed(sum);
  }
  for (int k = 0; doubtful != 0 && k < count; ++k) {
    next[k] = FlushedFma(factor, Half(right + 4 * k, which), sums[k]);
  }
  std::copy(next, next + count, sums);
}

void AddPair(const char* left, const char* right, int count, float* first, float* second) {
  AddHalf(Half(left, 0), right, 0, count, first);
  AddHalf(Half(left, 1), right, 1, count, second);
}

HETCOMP_WIDE void AddPairWide(const char* left, const char* right, int count, float* first,
                              float* second) {
  AddPair(left, right, count, first, second);
}

}  // namespace

float FlushedFma(float a, float b, float c) {
  const float sum = std::fma(a, b, c);
  if ((BitsOf(sum) & 0x7fffffffu) != kLeastBits) return Flushed(sum);
  // As a denormal it may have been rounded up to the least normal number. Its product is exact in
  // double, and the rounding of the sum there is known: does 24 bits' rounding reach the least?
  const double product = static_cast<double>(a) * b, addend = c;
  const double total = product + addend;
  const double part = total - product;
  const double error = (product - (total - part)) + (addend - part);
  const double size = std::fabs(total), rest = total < 0.0 ? -error : error;
  const double bound = 0x1p-126 - 0x1p-151;
  const bool reaches = size > bound || (size == bound && rest >= 0.0);
  return reaches ? sum : std::copysign(0.0f, sum);
}

NpuPairSums::NpuPairSums(int count, float* sums) : count_(count), sums_(sums) {
  std::fill(sums, sums + count, 0.0f);
  std::fill(&partial_[0][0], &partial_[0][0] + 2 * kNpuLanes, 0.0f);
}

void NpuPairSums::Add(const char* left, const char* right) {
  if (HasWideVectors()) {
    AddPairWide(left, right, count_, partial_[0], partial_[1]);
  } else {
    AddPair(left, right, count_, partial_[0], partial_[1]);
  }
  if (++pairs_ == kNpuRunPairs) EndRun();
}

void NpuPairSums::EndRun() {
  if (pairs_ == 0) return;
  for (int k = 0; k < count_; ++k) {
    // Sums of floats that are no denormals are exact where they would be one.
    sums_[k] = Flushed(sums_[k] + Flushed(partial_[0][k] + partial_[1][k]));
    partial_[0][k] = partial_[1][k] = 0.0f;
  }
  pairs_ = 0;
}

}  // namespace hetcomp
