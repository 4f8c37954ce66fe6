#include "npu/npu_tile_product.h"

#include <algorithm>
#include <utility>

namespace hetcomp {
namespace {

// Panels of a block: their bytes should stay in the L2 cache while all rows pass, their sums in
// the L1 cache until they are written.
constexpr int64_t kBlockBytes = 1 << 20;
constexpr int kLeastPanels = kNpuLanes / kTileColumns;
constexpr int kMostPanels = 2 * kLeastPanels;

// Two tiles, and no row that is not there: where they would have one, both begin earlier.
int Height(int64_t rows) { return static_cast<int>(std::min<int64_t>(kTileRows, (rows + 1) / 2)); }

int MostPanels(size_t chunks) {
  const int64_t panel_bytes = static_cast<int64_t>(chunks) * kTileRows * kTileBytes;
  const int64_t fitting = kBlockBytes / panel_bytes / kLeastPanels * kLeastPanels;
  return static_cast<int>(std::clamp<int64_t>(fitting, kLeastPanels, kMostPanels));
}

}  // namespace

TileMultiplier::TileMultiplier(std::unique_ptr<TileEngine> engine,
                               const std::vector<TileChunk>& chunks, int64_t rows, int64_t period,
                               int64_t used)
    : engine_(std::move(engine)),
      rows_(rows),
      period_(period),
      used_(used),
      height_(Height(rows)),
      most_panels_(MostPanels(chunks.size())),
      sums_(sizeof(int32_t) * 2 * kTileRows * kTileColumns * static_cast<size_t>(most_panels_)) {
  for (const TileChunk& chunk : chunks) chunks_.push_back(chunk.left);
}

void TileMultiplier::Multiply(const TileLeft& left, const TileRight& right, int64_t first,
                              int64_t count, TileOutput* output) {
  const int64_t panels = (count + kTileColumns - 1) / kTileColumns;
  for (int64_t panel = 0; panel < panels; panel += most_panels_) {
    const int64_t column = panel * kTileColumns;
    const int64_t columns = std::min<int64_t>(most_panels_ * kTileColumns, count - column);
    const int block = static_cast<int>(std::min<int64_t>(most_panels_, panels - panel));
    for (int64_t row = 0; row < rows_; row += 2 * height_) {
      MultiplyBlock(left, right, row, panel, block);
      Write(left, row, std::min(rows_, row + 2 * height_), first + column, columns, output);
    }
  }
}

void TileMultiplier::MultiplyBlock(const TileLeft& left, const TileRight& right, int64_t row,
                                   int64_t panel, int panels) {
  TileJob job;
  for (int tile = 0; tile < 2; ++tile) {
    starts_[tile] = std::min(row + tile * height_, rows_ - height_);
    job.left[tile] = left.data + starts_[tile] * left.stride;
  }
  job.left_stride = left.stride;
  job.chunks = chunks_.data();
  job.n_chunks = chunks_.size();
  job.right = right.data + panel * right.panel_step;
  job.panel_step = right.panel_step;
  job.chunk_step = right.chunk_step;
  job.right_stride = right.stride;
  job.panels = panels;
  job.sums = reinterpret_cast<int32_t*>(sums_.data());
  job.sums_stride = most_panels_ * kTileColumns;
  engine_->Multiply(job);
}

const int32_t* TileMultiplier::Sums(int64_t row) const {
  const int64_t place = row < starts_[1] ? row - starts_[0] : kTileRows + row - starts_[1];
  return reinterpret_cast<const int32_t*>(sums_.data()) + place * most_panels_ * kTileColumns;
}

void TileMultiplier::Write(const TileLeft& left, int64_t begin, int64_t end, int64_t first,
                           int64_t count, TileOutput* output) {
  int64_t column = begin % period_;
  int64_t output_row = left.first_row + begin / period_ * used_ + std::min(column, used_);
  for (int64_t row = begin; row < end; ++row) {
    if (column < used_) output->Write(output_row++, first, count, Sums(row));
    if (++column == period_) column = 0;
  }
}

}  // namespace hetcomp
