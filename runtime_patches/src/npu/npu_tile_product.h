// One product by tiles: all its blocks of rows and columns, and what becomes of their sums.
#ifndef HETCOMP_NPU_TILE_PRODUCT_H_
#define HETCOMP_NPU_TILE_PRODUCT_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "npu/npu_lines.h"
#include "npu/npu_tile_chunk.h"
#include "npu/npu_tile_output.h"
#include "npu/npu_tile_words.h"
#include "npu/npu_tiles.h"

namespace hetcomp {

// Rows of the left operand, and which rows of the output they give: of each `period` of them the
// first `used`, one after the other.
struct TileLeft {
  const char* data = nullptr;
  int64_t stride = 0;
  int64_t first_row = 0;  // of the output
};

class TileMultiplier {
 public:
  // All products have that many rows, and the same chunks.
  TileMultiplier(std::unique_ptr<TileEngine> engine, const std::vector<TileChunk>& chunks,
                 int64_t rows, int64_t period, int64_t used);

  // Around all that one thread multiplies.
  void Begin() { engine_->Configure(height_); }
  void End() { engine_->Release(); }

  // Columns [first, first + count) of the output.
  void Multiply(const TileLeft& left, const TileRight& right, int64_t first, int64_t count,
                TileOutput* output);

 private:
  void MultiplyBlock(const TileLeft& left, const TileRight& right, int64_t row, int64_t panel,
                     int panels);
  // What MultiplyBlock has left of a row; rows count from the product's first one.
  const int32_t* Sums(int64_t row) const;
  void Write(const TileLeft& left, int64_t begin, int64_t end, int64_t first, int64_t count,
             TileOutput* output);

  const std::unique_ptr<TileEngine> engine_;
  std::vector<int64_t> chunks_;
  const int64_t rows_, period_, used_;
  const int height_;       // of a tile
  const int most_panels_;  // of a block
  NpuLines sums_;
  int64_t starts_[2] = {};  // rows at which the block's tiles begin
};

}  // namespace hetcomp

#endif  // HETCOMP_NPU_TILE_PRODUCT_H_
