#include "npu/npu_values.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "npu/npu_bf16.h"
#include "npu/npu_lane_math.h"
#include "npu/npu_wide.h"

namespace hetcomp {
namespace {

template <typename T>
T LoadElement(const char* place) {
  T element;
  std::memcpy(&element, place, sizeof(T));
  return element;
}

// As it lies in memory.
struct Bfloat16 {
  uint16_t bits;
  explicit operator float() const { return FloatOf(static_cast<uint32_t>(bits) << 16); }
};

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
    Each(count, out, [one = element(first)](int) { return one; });
  } else if (step == 1 && last + kBlock <= size) {
    Each(count, out, [&](int k) { return element(first + k); });
  } else {
    for (int k = 0; k < count; ++k) out[k] = element(first + step * k);
  }
}

void Load(const NpuValue& value, const NpuArray& array, int64_t first, int64_t step, int count,
          NpuLanes* out) {
  switch (value.type) {
    case NpuType::kFloat32:
      return LoadLanes<float>(array, first, step, count, out->f);
    case NpuType::kBfloat16:
      return LoadLanes<Bfloat16>(array, first, step, count, out->f);
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

int64_t PlaceOf(const NpuValue& value, const std::vector<int64_t>& at) {
  int64_t place = value.offset;
  for (size_t axis = 0; axis < at.size(); ++axis) place += value.steps[axis] * at[axis];
  return place;
}

// What Compute was asked for.
struct Request {
  const std::vector<NpuArray>& operands;
  const std::vector<int64_t>& at;
  int axis;
  int count;
  const void* accumulators;
};

void EvaluateOne(const std::vector<NpuValue>& values, size_t index, const Request& request,
                 std::vector<NpuLanes>* all) {
  const NpuValue& value = values[index];
  const int count = request.count;
  NpuLanes* const out = &(*all)[index];
  const auto lanes = [&](int place) -> const NpuLanes& {
    return (*all)[static_cast<size_t>(place)];
  };
  const auto type = [&](int place) { return values[static_cast<size_t>(place)].type; };
  const auto step = [&] {
    return request.axis < 0 ? 0 : value.steps[static_cast<size_t>(request.axis)];
  };
  switch (value.operation) {
    case NpuOperation::kAcc:
      std::memcpy(out, request.accumulators, sizeof(int32_t) * static_cast<size_t>(count));
      return;
    case NpuOperation::kLoad:
      return Load(value, request.operands[static_cast<size_t>(value.operand)],
                  PlaceOf(value, request.at), step(), count, out);
    case NpuOperation::kIndex:
      return Each(count, out->i, [first = PlaceOf(value, request.at), by = step()](int k) {
        return static_cast<int32_t>(first + by * k);
      });
    case NpuOperation::kConst:
      if (IsFloat(value.type)) {
        return Each(count, out->f, [&](int) { return static_cast<float>(value.number); });
      }
      return Each(count, out->i, [&](int) { return static_cast<int32_t>(value.number); });
    case NpuOperation::kCast:
      return Cast(type(value.a), value.type, lanes(value.a), count, out);
    case NpuOperation::kFma: {
      const float *a = lanes(value.a).f, *b = lanes(value.b).f, *c = lanes(value.c).f;
      return Each(count, out->f, [=](int k) { return std::fma(a[k], b[k], c[k]); });
    }
    case NpuOperation::kSelect:
      return Select(value.type, lanes(value.a), lanes(value.b), lanes(value.c), count, out);
    default:
      return Binary(value, type(value.a), lanes(value.a), lanes(value.b), count, out);
  }
}

void Evaluate(const std::vector<NpuValue>& values, const Request& request,
              std::vector<NpuLanes>* lanes) {
  for (size_t index = 0; index < values.size(); ++index) EvaluateOne(values, index, request, lanes);
}

HETCOMP_WIDE void EvaluateWide(const std::vector<NpuValue>& values, const Request& request,
                               std::vector<NpuLanes>* lanes) {
  Evaluate(values, request, lanes);
}

}  // namespace

const NpuLanes& NpuEvaluator::Compute(const std::vector<NpuArray>& operands,
                                      const std::vector<int64_t>& at, int axis, int count,
                                      const void* accumulators) {
  const Request request{operands, at, axis, count, accumulators};
  if (HasWideVectors()) {
    EvaluateWide(values_, request, &lanes_);
  } else {
    Evaluate(values_, request, &lanes_);
  }
  return lanes_.back();
}

void StoreLanes(const NpuLanes& lanes, NpuType type, int count, char* place) {
  const size_t size = SizeOf(type);
  if (size == 4) {
    std::memcpy(place, lanes.i, size * static_cast<size_t>(count));
  } else if (type == NpuType::kBfloat16) {
    for (int k = 0; k < count; ++k) {
      const uint16_t element = static_cast<uint16_t>(BitsOf(lanes.f[k]) >> 16);
      std::memcpy(place + 2 * k, &element, 2);
    }
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
