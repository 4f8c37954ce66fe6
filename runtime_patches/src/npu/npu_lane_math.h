// Scalar operations on many lanes, in loops that compilers make vectors of.
#ifndef HETCOMP_NPU_LANE_MATH_H_
#define HETCOMP_NPU_LANE_MATH_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "npu/npu_bf16.h"
#include "npu/npu_operator.h"
#include "npu/npu_values.h"

namespace hetcomp {

// Lanes are computed in blocks of so many, whatever their number.
constexpr int kBlock = 16;
static_assert(kNpuLanes % kBlock == 0, "the last block must fit");

// All lanes of the blocks that `count` lanes begin. `out` may be where the arguments are.
template <typename T, typename Function>
void Each(int count, T* out, Function function) {
  for (int first = 0; first < count; first += kBlock) {
    T block[kBlock];
    for (int k = 0; k < kBlock; ++k) block[k] = function(first + k);
    std::memcpy(out + first, block, sizeof block);
  }
}

template <typename T>
void KeepAs(int count, int32_t* out) {
  Each(count, out, [=](int k) { return static_cast<int32_t>(static_cast<T>(out[k])); });
}

// Integers as their type keeps them.
inline void Wrap(NpuType type, int count, int32_t* out) {
  switch (type) {
    case NpuType::kInt16:
      return KeepAs<int16_t>(count, out);
    case NpuType::kUint16:
      return KeepAs<uint16_t>(count, out);
    case NpuType::kInt8:
      return KeepAs<int8_t>(count, out);
    case NpuType::kUint8:
      return KeepAs<uint8_t>(count, out);
    case NpuType::kBool:
      return Each(count, out, [=](int k) { return static_cast<int32_t>(out[k] != 0); });
    default:
      return;
  }
}

// Truncated; out of range, where no program that is right goes, 0.
inline int32_t Truncated(float value) {
  const bool fits = value > -2147483648.0f && value < 2147483648.0f;
  return static_cast<int32_t>(fits ? value : 0.0f);
}

inline bool IsFloat(NpuType type) {
  return type == NpuType::kFloat32 || type == NpuType::kBfloat16;
}

// Every operation is a loop of its own, so that no compiler joins two of them into one rounding.
inline void FloatBinary(NpuOperation operation, const float* a, const float* b, int count,
                        float* out) {
  switch (operation) {
    case NpuOperation::kAdd:
      return Each(count, out, [=](int k) { return a[k] + b[k]; });
    case NpuOperation::kSub:
      return Each(count, out, [=](int k) { return a[k] - b[k]; });
    case NpuOperation::kMul:
      return Each(count, out, [=](int k) { return a[k] * b[k]; });
    case NpuOperation::kDiv:
      return Each(count, out, [=](int k) { return a[k] / b[k]; });
    case NpuOperation::kMin:
      return Each(count, out, [=](int k) { return a[k] < b[k] ? a[k] : b[k]; });
    default:
      return Each(count, out, [=](int k) { return a[k] > b[k] ? a[k] : b[k]; });
  }
}

inline void IntBinary(NpuOperation operation, const int32_t* a, const int32_t* b, int count,
                      int32_t* out) {
  const auto x = [=](int k) { return static_cast<uint32_t>(a[k]); };
  const auto y = [=](int k) { return static_cast<uint32_t>(b[k]); };
  switch (operation) {
    case NpuOperation::kAdd:
      return Each(count, out, [=](int k) { return static_cast<int32_t>(x(k) + y(k)); });
    case NpuOperation::kSub:
      return Each(count, out, [=](int k) { return static_cast<int32_t>(x(k) - y(k)); });
    case NpuOperation::kMul:
      return Each(count, out, [=](int k) { return static_cast<int32_t>(x(k) * y(k)); });
    case NpuOperation::kMin:
      return Each(count, out, [=](int k) { return std::min(a[k], b[k]); });
    case NpuOperation::kMax:
      return Each(count, out, [=](int k) { return std::max(a[k], b[k]); });
    case NpuOperation::kAnd:
      return Each(count, out, [=](int k) { return a[k] & b[k]; });
    case NpuOperation::kOr:
      return Each(count, out, [=](int k) { return a[k] | b[k]; });
    case NpuOperation::kXor:
      return Each(count, out, [=](int k) { return a[k] ^ b[k]; });
    case NpuOperation::kShl:
      return Each(count, out, [=](int k) { return static_cast<int32_t>(x(k) << (y(k) & 31u)); });
    case NpuOperation::kShr:
      return Each(count, out, [=](int k) { return a[k] >> (b[k] & 31); });
    default:
      return Each(count, out, [](int) { return 0; });  // not divided, see hetcomp/npu/values.py
  }
}

template <typename T>
void Compare(NpuOperation operation, const T* a, const T* b, int count, int32_t* out) {
  switch (operation) {
    case NpuOperation::kEq:
      return Each(count, out, [=](int k) { return static_cast<int32_t>(a[k] == b[k]); });
    case NpuOperation::kNe:
      return Each(count, out, [=](int k) { return static_cast<int32_t>(a[k] != b[k]); });
    case NpuOperation::kLt:
      return Each(count, out, [=](int k) { return static_cast<int32_t>(a[k] < b[k]); });
    case NpuOperation::kLe:
      return Each(count, out, [=](int k) { return static_cast<int32_t>(a[k] <= b[k]); });
    case NpuOperation::kGt:
      return Each(count, out, [=](int k) { return static_cast<int32_t>(a[k] > b[k]); });
    default:
      return Each(count, out, [=](int k) { return static_cast<int32_t>(a[k] >= b[k]); });
  }
}

inline void Cast(NpuType from, NpuType to, const NpuLanes& in, int count, NpuLanes* out) {
  if (from == NpuType::kFloat32 && to == NpuType::kBfloat16) {
    Each(count, out->f, [&](int k) { return RoundedToBf16(in.f[k]); });
  } else if (IsFloat(from) && IsFloat(to)) {
    Each(count, out->f, [&](int k) { return in.f[k]; });
  } else if (IsFloat(to)) {
    Each(count, out->f, [&](int k) { return static_cast<float>(in.i[k]); });
  } else if (IsFloat(from)) {
    Each(count, out->i, [&](int k) { return Truncated(in.f[k]); });
    Wrap(to, count, out->i);
  } else {
    Each(count, out->i, [&](int k) { return in.i[k]; });
    Wrap(to, count, out->i);
  }
}

inline bool IsComparison(NpuOperation operation) {
  return operation >= NpuOperation::kEq && operation <= NpuOperation::kGe;
}

inline void Binary(const NpuValue& value, NpuType from, const NpuLanes& a, const NpuLanes& b,
                   int count, NpuLanes* out) {
  const NpuOperation operation = value.operation;
  if (IsComparison(operation)) {
    if (IsFloat(from)) return Compare(operation, a.f, b.f, count, out->i);
    return Compare(operation, a.i, b.i, count, out->i);
  }
  if (IsFloat(value.type)) return FloatBinary(operation, a.f, b.f, count, out->f);
  IntBinary(operation, a.i, b.i, count, out->i);
  Wrap(value.type, count, out->i);
}

inline void Select(NpuType type, const NpuLanes& condition, const NpuLanes& yes, const NpuLanes& no,
                   int count, NpuLanes* out) {
  if (IsFloat(type)) {
    return Each(count, out->f, [&](int k) { return condition.i[k] ? yes.f[k] : no.f[k]; });
  }
  Each(count, out->i, [&](int k) { return condition.i[k] ? yes.i[k] : no.i[k]; });
}

}  // namespace hetcomp

#endif  // HETCOMP_NPU_LANE_MATH_H_
