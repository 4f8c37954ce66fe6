// The accumulators of products of bfloat16, in the order that hetcomp/npu/operators.py defines.
#include <algorithm>
#include <vector>

#include "npu/npu_bf16.h"
#include "npu/npu_cores.h"

namespace hetcomp {
namespace {

constexpr int64_t kItem = 2;
constexpr int64_t kPair = 4;

class FloatWindowCore : public NpuCore {
 public:
  FloatWindowCore(const NpuWindow& window, const NpuOperator& operation)
      : w_(window),
        group_size_(operation.shape.back() / window.groups),
        pitch_(operation.words_pitch),
        padding_(static_cast<size_t>(kItem * window.groups * window.depth)) {}

  void Accumulate(const std::vector<NpuArray>& operands, const std::vector<int64_t>& at, int count,
                  NpuLanes* accumulators) override {
    for (int done = 0; done < count;) {  // the columns may be those of several groups
      const int64_t channel = at[3] + done;
      const int64_t left = (channel / group_size_ + 1) * group_size_ - channel;
      const int part = static_cast<int>(std::min<int64_t>(count - done, left));
      AddGroup(operands, at, channel, part, accumulators->f + done);
      done += part;
    }
  }

 private:
  void AddGroup(const std::vector<NpuArray>& operands, const std::vector<int64_t>& at,
                int64_t channel, int count, float* sums) const {
    const char* const data = operands[static_cast<size_t>(w_.data)].data;
    const char* words = operands[static_cast<size_t>(w_.weights)].data + kPair * channel;
    const int64_t first = kItem * (channel / group_size_) * w_.depth;
    // Taps that are neighbours in memory are one run.
    const bool runs = w_.groups == 1 && w_.dilation_w == 1;
    NpuPairSums pairs(count, sums);
    for (int64_t kh = 0; kh < w_.kernel_h; ++kh) {
      for (int64_t kw = 0; kw < w_.kernel_w; ++kw) {
        const char* const pixel = PixelAt(data, at, kh, kw) + first;
        for (int64_t k = 0; k < w_.depth; k += 2, words += kPair * pitch_) {
          pairs.Add(pixel + kItem * k, words);
        }
        if (!runs) pairs.EndRun();
      }
      pairs.EndRun();
    }
  }

  const char* PixelAt(const char* data, const std::vector<int64_t>& at, int64_t kh,
                      int64_t kw) const {
    const int64_t row = at[1] * w_.stride_h - w_.pad_top + kh * w_.dilation_h;
    const int64_t column = at[2] * w_.stride_w - w_.pad_left + kw * w_.dilation_w;
    const bool inside = row >= 0 && row < w_.height && column >= 0 && column < w_.width;
    if (!inside) return padding_.data();
    return data + kItem * ((at[0] * w_.height + row) * w_.width + column) * w_.data_pitch;
  }

  const NpuWindow w_;
  const int64_t group_size_;
  const int64_t pitch_;
  const std::vector<char> padding_;
};

class FloatProductCore : public NpuCore {
 public:
  FloatProductCore(const NpuProduct& product, const NpuOperator& operation)
      : p_(product), shape_(operation.shape), pitch_(operation.words_pitch) {}

  void Accumulate(const std::vector<NpuArray>& operands, const std::vector<int64_t>& at, int count,
                  NpuLanes* accumulators) override {
    const NpuPlaces places = PlacesOf(p_, shape_, at);
    const char* const left = operands[static_cast<size_t>(p_.left)].data + kItem * places.left;
    const char* words = operands[static_cast<size_t>(p_.right)].data + kPair * places.right;
    NpuPairSums pairs(count, accumulators->f);
    for (int64_t k = 0; k < p_.depth; k += 2, words += kPair * pitch_) {
      pairs.Add(left + kItem * k, words);
    }
    pairs.EndRun();
  }

 private:
  const NpuProduct p_;
  const std::vector<int64_t> shape_;
  const int64_t pitch_;
};

}  // namespace

std::unique_ptr<NpuCore> MakeFloatCore(const NpuOperator& operation) {
  if (const auto* window = std::get_if<NpuWindow>(&operation.core)) {
    return std::make_unique<FloatWindowCore>(*window, operation);
  }
  return std::make_unique<FloatProductCore>(std::get<NpuProduct>(operation.core), operation);
}

}  // namespace hetcomp
