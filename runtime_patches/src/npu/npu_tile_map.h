// A convolution's map as tiles read it: without a copy of it for each tap (no im2col).
#ifndef HETCOMP_NPU_TILE_MAP_H_
#define HETCOMP_NPU_TILE_MAP_H_

#include <cstdint>
#include <vector>

#include "npu/npu_lines.h"
#include "npu/npu_operator.h"
#include "npu/npu_tile_chunk.h"

namespace hetcomp {

// The rows of a tile are neighbouring positions of the output, all of them equally far apart in the
// map, over the end of its rows too. For that the map is padded, rows that a vertical stride has
// apart are put together, and each row of it has `period` positions, the last of which no output
// has.
class TileMap {
 public:
  // `groups * depth` bytes a pixel.
  explicit TileMap(const NpuWindow& window);

  // Copies one image.
  void Fill(const char* image);

  const char* data() const { return padded_.data(); }
  int64_t stride() const;  // from one position to the next
  int64_t period() const { return period_; }
  int64_t positions() const;
  // Of the first group.
  std::vector<TileChunk> chunks() const;

 private:
  int64_t pixel() const { return w_.groups * w_.depth; }
  int64_t row_bytes() const { return period_ * stride(); }
  int64_t rows() const;
  // Where the padded map's row lies.
  int64_t RowOffset(int64_t row) const;

  const NpuWindow w_;
  const int64_t period_;
  NpuLines padded_;
};

// Whether the map itself is one already, over all images: a window of one pixel.
bool IsTileMap(const NpuWindow& window);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_TILE_MAP_H_
