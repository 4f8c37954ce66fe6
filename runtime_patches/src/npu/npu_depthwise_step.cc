#include "npu/npu_depthwise_step.h"

#include <cstring>
#include <vector>

#include "npu/npu_blocks.h"
#include "npu/npu_lines.h"
#include "npu/npu_tile_output.h"
#include "npu/npu_wide.h"

namespace hetcomp {
namespace {

// Channels [first, first + kBlocks * 16) of one position: every tap's pixel times its weights,
// which are `pitch` apart.
template <int kBlocks>
void SumTaps(const std::vector<const char*>& pixels, const char* weights, size_t pitch,
             size_t first, char* sums) {
  Words totals[kBlocks] = {};
  for (const char* const pixel : pixels) {
    for (int block = 0; block < kBlocks; ++block) {
      UnsignedBytes left;
      SignedBytes right;
      const size_t channel = first + static_cast<size_t>(block * kBlockLanes);
      std::memcpy(&left, pixel + channel, sizeof left);
      std::memcpy(&right, weights + channel, sizeof right);
      totals[block] += __builtin_convertvector(left, Words) * __builtin_convertvector(right, Words);
    }
    weights += pitch;
  }
  std::memcpy(sums + first * sizeof(int32_t), totals, sizeof totals);
}

// All channels, and those up to a block's end.
void SumChannels(const std::vector<const char*>& pixels, const char* weights, size_t channels,
                 char* sums) {
  constexpr size_t kMany = 4;
  size_t first = 0;
  for (; first + kMany * kBlockLanes <= channels; first += kMany * kBlockLanes) {
    SumTaps<kMany>(pixels, weights, channels, first, sums);
  }
  for (; first < channels; first += kBlockLanes) SumTaps<1>(pixels, weights, channels, first, sums);
}

HETCOMP_WIDE void SumChannelsWide(const std::vector<const char*>& pixels, const char* weights,
                                  size_t channels, char* sums) {
  SumChannels(pixels, weights, channels, sums);
}

class DepthwiseStep : public HostStep {
 public:
  DepthwiseStep(const HostCall& call, const NpuWindow& window)
      : call_(call),
        w_(window),
        channels_(static_cast<size_t>(window.groups)),
        taps_(static_cast<size_t>(window.kernel_h * window.kernel_w)),
        output_(call_),
        weights_(taps_ * channels_ + kBlockLanes),
        padding_(channels_ + kBlockLanes),
        sums_(sizeof(int32_t) * (channels_ + kBlockLanes)),
        pixels_(taps_) {
    // Of constants nothing may be read behind their end.
    std::memcpy(weights_.data(), call_.operands[static_cast<size_t>(w_.weights)].data,
                taps_ * channels_);
    std::memset(padding_.data(), static_cast<int>(w_.pad_value), channels_);
  }

  void Run() override {
    int64_t output_row = 0;
    for (int64_t image = 0; image < w_.batch; ++image) {
      for (int64_t row = 0; row < w_.out_height; ++row) {
        for (int64_t column = 0; column < w_.out_width; ++column) {
          FindPixels(image, row, column);
          Sum();
          output_.Write(output_row++, 0, w_.groups, reinterpret_cast<const int32_t*>(sums_.data()));
        }
      }
    }
  }

 private:
  // The pixels that an output reads, or what stands for those outside of the map.
  void FindPixels(int64_t image, int64_t out_row, int64_t out_column) {
    const char* const data = call_.operands[static_cast<size_t>(w_.data)].data;
    size_t tap = 0;
    for (int64_t kh = 0; kh < w_.kernel_h; ++kh) {
      const int64_t row = out_row * w_.stride_h - w_.pad_top + kh * w_.dilation_h;
      for (int64_t kw = 0; kw < w_.kernel_w; ++kw) {
        const int64_t column = out_column * w_.stride_w - w_.pad_left + kw * w_.dilation_w;
        const bool inside = row >= 0 && row < w_.height && column >= 0 && column < w_.width;
        const int64_t pixel = (image * w_.height + row) * w_.width + column;
        pixels_[tap++] = inside ? data + pixel * w_.data_pitch : padding_.data();
      }
    }
  }

  void Sum() {
    if (HasWideVectors()) {
      SumChannelsWide(pixels_, weights_.data(), channels_, sums_.data());
    } else {
      SumChannels(pixels_, weights_.data(), channels_, sums_.data());
    }
  }

  const HostCall call_;
  const NpuWindow w_;
  const size_t channels_;
  const size_t taps_;
  TileOutput output_;
  NpuLines weights_;
  NpuLines padding_;
  NpuLines sums_;
  std::vector<const char*> pixels_;  // by tap
};

}  // namespace

std::unique_ptr<HostStep> MakeDepthwiseStep(const HostCall& call) {
  const auto* window = std::get_if<NpuWindow>(&call.operation->core);
  if (window == nullptr || call.operation->kind != NpuKind::kDepthwise ||
      call.constant[static_cast<size_t>(window->data)]) {
    return nullptr;
  }
  return std::make_unique<DepthwiseStep>(call, *window);
}

}  // namespace hetcomp
