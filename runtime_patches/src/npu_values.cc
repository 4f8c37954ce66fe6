#include "npu_values.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace hetcomp {
namespace {

// An integer as its type keeps it.
int32_t Wrapped(int32_t value, NpuType type) {
  switch (type) {
    case NpuType::kInt16:
      return static_cast<int16_t>(value);
    case NpuType::kUint16:
      return static_cast<uint16_t>(value);
    case NpuType::kInt8:
      return static_cast<int8_t>(value);
    case NpuType::kUint8:
      return static_cast<uint8_t>(value);
    case NpuType::kBool:
      return value != 0;
    default:
      return value;
  }
}

// Truncated; out of range, where no program that is right goes, 0.
int32_t Truncated(float value) {
  return value > -2147483648.0f && value < 2147483648.0f ? static_cast<int32_t>(value) : 0;
}

bool IsFloat(NpuType type) { return type == NpuType::kFloat32; }

template <typename T>
T LoadElement(const char* place) {
  T element;
  std::memcpy(&element, place, sizeof(T));
  return element;
}

// Elements `step` apart from element `first` on; those outside of the array are any of its own.
template <typename T, typename U>
void LoadLanes(const NpuArray& array, int64_t first, int64_t step, int count, U* out) {
  const int64_t size = static_cast<int64_t>(array.bytes / sizeof(T));
  const int64_t last = first + step * (count - 1);
  const auto element = [&](int64_t index) {
    return static_cast<U>(LoadElement<T>(array.data + index * static_cast<int64_t>(sizeof(T))));
  };
  if (size == 0) {
    std::fill(out, out + count, U(0));
  } else if (std::min(first, last) < 0 || std::max(first, last) >= size) {
    for (int k = 0; k < count; ++k) {
      out[k] = element(std::clamp<int64_t>(first + step * k, 0, size - 1));
    }
  } else if (step == 0) {
    std::fill(out, out + count, element(first));
  } else {
    for (int k = 0; k < count; ++k) out[k] = element(first + step * k);
  }
}

void Load(const NpuValue& value, const NpuArray& array, int64_t first, int64_t step, int count,
          NpuLanes* out) {
  switch (value.type) {
    case NpuType::kFloat32:
      return LoadLanes<float>(array, first, step, count, out->f);
    case NpuType::kInt32:
      return LoadLanes<int32_t>(array, first, step, count, out->i);
    case NpuType::kInt16:
      return LoadLanes<int16_t>(array, first, step, count, out->i);
    case NpuType::kUint16:
      return LoadLanes<uint16_t>(array, first, step, count, out->i);
    case NpuType::kInt8:
      return LoadLanes<int8_t>(array, first, step, count, out->i);
    case NpuType::kUint8:
    case NpuType::kBool:
      return LoadLanes<uint8_t>(array, first, step, count, out->i);
  }
}

template <typename T, typename Function>
void Each(int count, T* out, Function function) {
  for (int k = 0; k < count; ++k) out[k] = function(k);
}

// Every operation is a loop of its own, so that no compiler joins two of them into one rounding.
void FloatBinary(NpuOperation operation, const float* a, const float* b, int count, float* out) {
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

int32_t IntBinary(NpuOperation operation, int32_t a, int32_t b) {
  const uint32_t x = static_cast<uint32_t>(a);
  const uint32_t y = static_cast<uint32_t>(b);
  switch (operation) {
    case NpuOperation::kAdd:
      return static_cast<int32_t>(x + y);
    case NpuOperation::kSub:
      return static_cast<int32_t>(x - y);
    case NpuOperation::kMul:
      return static_cast<int32_t>(x * y);
    case NpuOperation::kMin:
      return std::min(a, b);
    case NpuOperation::kMax:
      return std::max(a, b);
    case NpuOperation::kAnd:
      return a & b;
    case NpuOperation::kOr:
      return a | b;
    case NpuOperation::kXor:
      return a ^ b;
    case NpuOperation::kShl:
      return static_cast<int32_t>(x << (y & 31u));
    case NpuOperation::kShr:
      return a >> (b & 31);
    default:
      return 0;  // integers are not divided, see hetcomp/npu/values.py
  }
}

template <typename T>
bool Compare(NpuOperation operation, T a, T b) {
  switch (operation) {
    case NpuOperation::kEq:
      return a == b;
    case NpuOperation::kNe:
      return a != b;
    case NpuOperation::kLt:
      return a < b;
    case NpuOperation::kLe:
      return a <= b;
    case NpuOperation::kGt:
      return a > b;
    default:
      return a >= b;
  }
}

void Cast(NpuType from, NpuType to, const NpuLanes& in, int count, NpuLanes* out) {
  if (IsFloat(from) && IsFloat(to)) {
    std::copy(in.f, in.f + count, out->f);
  } else if (IsFloat(to)) {
    Each(count, out->f, [&](int k) { return static_cast<float>(in.i[k]); });
  } else if (IsFloat(from)) {
    Each(count, out->i, [&](int k) { return Wrapped(Truncated(in.f[k]), to); });
  } else {
    Each(count, out->i, [&](int k) { return Wrapped(in.i[k], to); });
  }
}

bool IsComparison(NpuOperation operation) {
  return operation >= NpuOperation::kEq && operation <= NpuOperation::kGe;
}

void Binary(const NpuValue& value, NpuType from, const NpuLanes& a, const NpuLanes& b, int count,
            NpuLanes* out) {
  const NpuOperation operation = value.operation;
  if (IsComparison(operation)) {
    if (IsFloat(from)) {
      return Each(count, out->i, [&](int k) { return Compare(operation, a.f[k], b.f[k]); });
    }
    return Each(count, out->i, [&](int k) { return Compare(operation, a.i[k], b.i[k]); });
  }
  if (IsFloat(value.type)) return FloatBinary(operation, a.f, b.f, count, out->f);
  Each(count, out->i,
       [&](int k) { return Wrapped(IntBinary(operation, a.i[k], b.i[k]), value.type); });
}

void Select(NpuType type, const NpuLanes& condition, const NpuLanes& yes, const NpuLanes& no,
            int count, NpuLanes* out) {
  if (IsFloat(type)) {
    return Each(count, out->f, [&](int k) { return condition.i[k] ? yes.f[k] : no.f[k]; });
  }
  Each(count, out->i, [&](int k) { return condition.i[k] ? yes.i[k] : no.i[k]; });
}

int64_t PlaceOf(const NpuValue& value, const std::vector<int64_t>& at) {
  int64_t place = value.offset;
  for (size_t axis = 0; axis < at.size(); ++axis) place += value.steps[axis] * at[axis];
  return place;
}

}  // namespace

const NpuLanes& NpuEvaluator::Compute(const std::vector<NpuArray>& operands,
                                      const std::vector<int64_t>& at, int axis, int count,
                                      const NpuLanes* accumulators) {
  for (size_t index = 0; index < values_.size(); ++index) {
    const NpuValue& value = values_[index];
    NpuLanes* const out = &lanes_[index];
    const auto lanes = [&](int place) -> const NpuLanes& {
      return lanes_[static_cast<size_t>(place)];
    };
    const auto step = [&] { return axis < 0 ? 0 : value.steps[static_cast<size_t>(axis)]; };
    switch (value.operation) {
      case NpuOperation::kAcc:
        *out = *accumulators;
        break;
      case NpuOperation::kLoad:
        Load(value, operands[static_cast<size_t>(value.operand)], PlaceOf(value, at), step(), count,
             out);
        break;
      case NpuOperation::kIndex:
        Each(count, out->i, [first = PlaceOf(value, at), by = step()](int k) {
          return static_cast<int32_t>(first + by * k);
        });
        break;
      case NpuOperation::kConst:
        if (IsFloat(value.type)) {
          std::fill(out->f, out->f + count, static_cast<float>(value.number));
        } else {
          std::fill(out->i, out->i + count, static_cast<int32_t>(value.number));
        }
        break;
      case NpuOperation::kCast:
        Cast(values_[static_cast<size_t>(value.a)].type, value.type, lanes(value.a), count, out);
        break;
      case NpuOperation::kFma: {
        const float *a = lanes(value.a).f, *b = lanes(value.b).f, *c = lanes(value.c).f;
        Each(count, out->f, [=](int k) { return std::fma(a[k], b[k], c[k]); });
        break;
      }
      case NpuOperation::kSelect:
        Select(value.type, lanes(value.a), lanes(value.b), lanes(value.c), count, out);
        break;
      default:
        Binary(value, values_[static_cast<size_t>(value.a)].type, lanes(value.a), lanes(value.b),
               count, out);
    }
  }
  return lanes_.back();
}

void StoreLanes(const NpuLanes& lanes, NpuType type, int count, char* place) {
  const size_t size = SizeOf(type);
  if (size == 4) {
    std::memcpy(place, lanes.i, size * static_cast<size_t>(count));
  } else if (size == 2) {
    for (int k = 0; k < count; ++k) {
      const int16_t element = static_cast<int16_t>(lanes.i[k]);
      std::memcpy(place + 2 * k, &element, 2);
    }
  } else {
    for (int k = 0; k < count; ++k) place[k] = static_cast<char>(lanes.i[k]);
  }
}

}  // namespace hetcomp
