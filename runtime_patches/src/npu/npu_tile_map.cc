#include "npu/npu_tile_map.h"

#include <algorithm>
#include <cstring>

#include "npu/npu_host_kernel.h"

namespace hetcomp {
namespace {

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Rows of the padded map that any output reads.
int64_t PaddedRows(const NpuWindow& w) {
  return (w.out_height - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1;
}

int64_t PaddedColumns(const NpuWindow& w) {
  return (w.out_width - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1;
}

}  // namespace

TileMap::TileMap(const NpuWindow& window)
    : w_(window),
      period_(CeilDiv(PaddedColumns(window), window.stride_w)),
      padded_(static_cast<size_t>(rows() * row_bytes()) + kHostSlack) {
  std::memset(padded_.data(), static_cast<int>(w_.pad_value),
              static_cast<size_t>(rows() * row_bytes()));
}

int64_t TileMap::rows() const { return CeilDiv(PaddedRows(w_), w_.stride_h) * w_.stride_h; }

int64_t TileMap::stride() const { return w_.stride_w * pixel(); }

int64_t TileMap::positions() const { return (w_.out_height - 1) * period_ + w_.out_width; }

int64_t TileMap::RowOffset(int64_t row) const {
  const int64_t each = rows() / w_.stride_h;
  return (row % w_.stride_h * each + row / w_.stride_h) * row_bytes();
}

void TileMap::Fill(const char* image) {
  const int64_t left = std::max<int64_t>(0, w_.pad_left);
  const int64_t columns = std::min(w_.width - (left - w_.pad_left), period_ * w_.stride_w - left);
  for (int64_t padded_row = 0; padded_row < PaddedRows(w_); ++padded_row) {
    const int64_t row = padded_row - w_.pad_top;
    if (row < 0 || row >= w_.height || columns <= 0) continue;
    const char* from = image + (row * w_.width + left - w_.pad_left) * w_.data_pitch;
    char* to = padded_.data() + RowOffset(padded_row) + left * pixel();
    if (w_.data_pitch == pixel()) {
      std::memcpy(to, from, static_cast<size_t>(columns * pixel()));
      continue;
    }
    for (int64_t column = 0; column < columns; ++column) {
      std::memcpy(to + column * pixel(), from + column * w_.data_pitch,
                  static_cast<size_t>(pixel()));
    }
  }
}

std::vector<TileChunk> TileMap::chunks() const {
  // Taps that are neighbours in memory are one run of bytes.
  const bool runs = w_.groups == 1 && w_.dilation_w == 1;
  const int64_t taps = runs ? w_.kernel_w : 1;
  const int64_t words = w_.depth / 4;
  std::vector<TileChunk> result;
  for (int64_t kh = 0; kh < w_.kernel_h; ++kh) {
    for (int64_t kw = 0; kw < w_.kernel_w; kw += taps) {
      const int64_t left = RowOffset(kh * w_.dilation_h) + kw * w_.dilation_w * pixel();
      AppendChunks(left, (kh * w_.kernel_w + kw) * words, taps * w_.depth, &result);
    }
  }
  return result;
}

bool IsTileMap(const NpuWindow& w) {
  return w.kernel_h == 1 && w.kernel_w == 1 && w.stride_h == 1 && w.stride_w == 1 &&
         w.pad_top == 0 && w.pad_left == 0 && w.out_height == w.height && w.out_width == w.width;
}

}  // namespace hetcomp
