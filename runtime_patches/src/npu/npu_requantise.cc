#include "npu/npu_requantise.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "npu/npu_blocks.h"
#include "npu/npu_wide.h"

namespace hetcomp {
namespace {

using Addend = NpuRequantise::Addend;

float Rounded(float x, const NpuRounding& r) {
  x = x > r.low ? x : r.low;
  x = x < r.high ? x : r.high;
  x = x + r.up;
  return x - r.down;
}

// What is added to the bytes of a block.
template <Addend kAddend>
void Addends(const NpuRequantise& how, int64_t column, const char* bytes, float* out) {
  if constexpr (kAddend == Addend::kColumns) {
    std::memcpy(out, how.columns.data() + column, sizeof(float) * kBlockLanes);
  } else {
    std::conditional_t<kAddend == Addend::kUnsigned, UnsignedBytes, SignedBytes> narrow;
    std::memcpy(&narrow, bytes, sizeof narrow);
    const Words wide = __builtin_convertvector(narrow, Words);
    for (int k = 0; k < kBlockLanes; ++k) {
      out[k] = std::fma(static_cast<float>(wide[k]), how.load_factor, how.load_offset);
    }
  }
}

template <Addend kAddend>
void RequantiseRow(const NpuRequantise& how, const int32_t* sums, int64_t first, int64_t count,
                   const char* bytes, char* out) {
  const NpuRounding one = how.first, two = how.second;
  const float factor = how.factor;
  const uint32_t* const bias = reinterpret_cast<const uint32_t*>(how.bias.data()) + first;
  const float* const scale = how.scale.data() + first;
  for (int64_t i = 0; i < count; i += kBlockLanes) {
    int32_t block[kBlockLanes];
    for (int k = 0; k < kBlockLanes; ++k) {
      const int32_t sum = static_cast<int32_t>(static_cast<uint32_t>(sums[i + k]) + bias[i + k]);
      block[k] = static_cast<int32_t>(Rounded(static_cast<float>(sum) * scale[i + k], one));
    }
    if constexpr (kAddend != Addend::kNone) {
      float addends[kBlockLanes];
      Addends<kAddend>(how, first + i, bytes + i, addends);
      for (int k = 0; k < kBlockLanes; ++k) {
        const float x = std::fma(static_cast<float>(block[k]), factor, addends[k]);
        block[k] = static_cast<int32_t>(Rounded(x, two));
      }
    }
    Words words;
    std::memcpy(&words, block, sizeof words);
    const UnsignedBytes narrow = __builtin_convertvector(words, UnsignedBytes);
    if (count - i >= kBlockLanes) {
      std::memcpy(out + i, &narrow, kBlockLanes);
    } else {
      std::memcpy(out + i, &narrow, static_cast<size_t>(count - i));
    }
  }
}

template <Addend kAddend>
HETCOMP_WIDE void RequantiseRowWide(const NpuRequantise& how, const int32_t* sums, int64_t first,
                                    int64_t count, const char* bytes, char* out) {
  RequantiseRow<kAddend>(how, sums, first, count, bytes, out);
}

template <Addend kAddend>
void RequantiseBy(const NpuRequantise& how, const int32_t* sums, int64_t first, int64_t count,
                  const char* bytes, char* out) {
  if (HasWideVectors()) {
    RequantiseRowWide<kAddend>(how, sums, first, count, bytes, out);
  } else {
    RequantiseRow<kAddend>(how, sums, first, count, bytes, out);
  }
}

// Reads the values of an operator from the last one back.
class Matcher {
 public:
  explicit Matcher(const HostCall& call) : call_(call), values_(call.operation->values) {}

  std::optional<NpuRequantise> Match() const {
    const int last = static_cast<int>(values_.size()) - 1;
    NpuRequantise how;
    NpuRounding rounding;
    const int inner = Rounding(last, &rounding);
    if (inner < 0) return std::nullopt;
    if (Scaled(inner, &how)) {
      how.first = rounding;
      return Padded(std::move(how));
    }
    how.second = rounding;
    const int byte = Sum(inner, &how);
    const int scaled = byte < 0 ? -1 : Rounding(byte, &how.first);
    if (scaled < 0 || !Scaled(scaled, &how)) return std::nullopt;
    return Padded(std::move(how));
  }

 private:
  const NpuValue& At(int place) const { return values_[static_cast<size_t>(place)]; }
  bool Is(int place, NpuOperation operation, NpuType type) const {
    return place >= 0 && At(place).operation == operation && At(place).type == type;
  }
  int64_t columns() const { return call_.operation->shape.back(); }

  // Whether it is a load by column, or the same for all.
  bool IsByColumn(int place, bool same) const {
    const NpuValue& value = At(place);
    if (value.operation != NpuOperation::kLoad) return false;
    const auto zero = [](int64_t step) { return step == 0; };
    return std::all_of(value.steps.begin(), value.steps.end() - 1, zero) &&
           value.steps.back() == (same ? 0 : 1);
  }

  // Numbers that a constant has for all columns; none where it is no such constant.
  template <typename T>
  std::vector<T> Numbers(int place, NpuType type) const {
    if (place < 0 || At(place).type != type) return {};
    const bool same = IsByColumn(place, true);
    if (!same && !IsByColumn(place, false)) return {};
    const NpuValue& value = At(place);
    const NpuArray& array = call_.operands[static_cast<size_t>(value.operand)];
    const int64_t size = static_cast<int64_t>(array.bytes / sizeof(T));
    const int64_t needed = value.offset + (same ? 1 : columns());
    const bool constant = call_.constant[static_cast<size_t>(value.operand)];
    if (!constant || value.offset < 0 || needed > size) return {};
    std::vector<T> numbers(static_cast<size_t>(columns()));
    for (size_t column = 0; column < numbers.size(); ++column) {
      const size_t index = static_cast<size_t>(value.offset) + (same ? 0 : column);
      std::memcpy(&numbers[column], array.data + index * sizeof(T), sizeof(T));
    }
    return numbers;
  }

  bool Number(int place, float* number) const {
    if (place < 0 || !IsByColumn(place, true)) return false;
    const std::vector<float> numbers = Numbers<float>(place, NpuType::kFloat32);
    if (!numbers.empty()) *number = numbers.front();
    return !numbers.empty();
  }

  // The argument of a rounding to bytes that the value is; -1: it is none, or not sure to fit.
  int Rounding(int place, NpuRounding* rounding) const {
    const bool is_signed = Is(place, NpuOperation::kCast, NpuType::kInt8);
    if (!is_signed && !Is(place, NpuOperation::kCast, NpuType::kUint8)) return -1;
    int inner = At(place).a;
    const std::pair<NpuOperation, float*> steps[] = {{NpuOperation::kSub, &rounding->down},
                                                     {NpuOperation::kAdd, &rounding->up},
                                                     {NpuOperation::kMin, &rounding->high},
                                                     {NpuOperation::kMax, &rounding->low}};
    for (const auto& [operation, number] : steps) {
      if (!Is(inner, operation, NpuType::kFloat32) || !Number(At(inner).b, number)) return -1;
      inner = At(inner).a;
    }
    const float least = is_signed ? -128.0f : 0.0f, most = least + 255.0f;
    const float low = Rounded(rounding->low, *rounding), high = Rounded(rounding->high, *rounding);
    return low >= least && low <= high && high <= most ? inner : -1;
  }

  // `float(acc + bias) * scale`, by column or the same for all; the bias may be missing.
  bool Scaled(int place, NpuRequantise* how) const {
    if (!Is(place, NpuOperation::kMul, NpuType::kFloat32)) return false;
    how->scale = Numbers<float>(At(place).b, NpuType::kFloat32);
    int inner = At(place).a;
    if (how->scale.empty() || !Is(inner, NpuOperation::kCast, NpuType::kFloat32)) return false;
    inner = At(inner).a;
    how->bias.assign(static_cast<size_t>(columns()), 0);
    if (Is(inner, NpuOperation::kAdd, NpuType::kInt32)) {
      how->bias = Numbers<int32_t>(At(inner).b, NpuType::kInt32);
      inner = At(inner).a;
    }
    return !how->bias.empty() && Is(inner, NpuOperation::kAcc, NpuType::kInt32);
  }

  // The byte in `float(byte) * factor + addend`; -1: it is no such sum.
  int Sum(int place, NpuRequantise* how) const {
    if (!Is(place, NpuOperation::kFma, NpuType::kFloat32)) return -1;
    const NpuValue& sum = At(place);
    if (!Is(sum.a, NpuOperation::kCast, NpuType::kFloat32) || !Number(sum.b, &how->factor) ||
        !(Columns(sum.c, how) || Bytes(sum.c, how))) {
      return -1;
    }
    return At(sum.a).a;
  }

  bool Columns(int place, NpuRequantise* how) const {
    how->columns = Numbers<float>(place, NpuType::kFloat32);
    how->addend = Addend::kColumns;
    return !how->columns.empty();
  }

  // `float(byte) * factor + offset` of a tensor along the output's last axis.
  bool Bytes(int place, NpuRequantise* how) const {
    if (!Is(place, NpuOperation::kFma, NpuType::kFloat32)) return false;
    const NpuValue& sum = At(place);
    if (!Is(sum.a, NpuOperation::kCast, NpuType::kFloat32)) return false;
    const NpuValue& load = At(At(sum.a).a);
    const bool is_signed = load.type == NpuType::kInt8;
    if (load.operation != NpuOperation::kLoad || load.steps.back() != 1 ||
        !(is_signed || load.type == NpuType::kUint8) || !StaysInside(load)) {
      return false;
    }
    how->addend = is_signed ? Addend::kSigned : Addend::kUnsigned;
    how->load = &load;
    return Number(sum.b, &how->load_factor) && Number(sum.c, &how->load_offset);
  }

  // Whether all its elements are the operand's, and more may be read behind them.
  bool StaysInside(const NpuValue& load) const {
    int64_t least = load.offset, most = load.offset;
    for (size_t axis = 0; axis < load.steps.size(); ++axis) {
      const int64_t reach = load.steps[axis] * (call_.operation->shape[axis] - 1);
      (reach < 0 ? least : most) += reach;
    }
    const size_t operand = static_cast<size_t>(load.operand);
    return least >= 0 && most < static_cast<int64_t>(call_.operands[operand].bytes) &&
           !call_.constant[operand];
  }

  // What is by column is read in blocks, from any column on.
  NpuRequantise Padded(NpuRequantise how) const {
    const size_t size = static_cast<size_t>(columns() + kBlockLanes);
    how.bias.resize(size);
    how.scale.resize(size);
    if (!how.columns.empty()) how.columns.resize(size);
    return how;
  }

  const HostCall& call_;
  const std::vector<NpuValue>& values_;
};

}  // namespace

std::optional<NpuRequantise> MatchRequantise(const HostCall& call) { return Matcher(call).Match(); }

void Requantise(const NpuRequantise& how, const int32_t* sums, int64_t first, int64_t count,
                const char* bytes, char* out) {
  switch (how.addend) {
    case Addend::kNone:
      return RequantiseBy<Addend::kNone>(how, sums, first, count, bytes, out);
    case Addend::kColumns:
      return RequantiseBy<Addend::kColumns>(how, sums, first, count, bytes, out);
    case Addend::kUnsigned:
      return RequantiseBy<Addend::kUnsigned>(how, sums, first, count, bytes, out);
    case Addend::kSigned:
      return RequantiseBy<Addend::kSigned>(how, sums, first, count, bytes, out);
  }
}

}  // namespace hetcomp
