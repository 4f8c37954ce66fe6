// Right operands as tiles take them: panels of 16 columns, one tile behind the other.
#ifndef HETCOMP_NPU_TILE_WORDS_H_
#define HETCOMP_NPU_TILE_WORDS_H_

#include <cstdint>
#include <vector>

#include "npu/npu_lines.h"
#include "npu/npu_tile_chunk.h"

namespace hetcomp {

// Steps as in TileJob.
struct TileRight {
  const char* data = nullptr;
  int64_t panel_step = 0;
  int64_t chunk_step = 0;
  int64_t stride = 0;
};

// Memory for one packed operand; what a chunk or the last panel lacks is 0.
class TileWords {
 public:
  TileWords(const std::vector<TileChunk>& chunks, int64_t columns);

  // Rows of words are `pitch` words apart.
  void Pack(const char* words, int64_t pitch);

  TileRight right() const;

 private:
  const std::vector<TileChunk> chunks_;
  const int64_t columns_;
  NpuLines packed_;
};

}  // namespace hetcomp

#endif  // HETCOMP_NPU_TILE_WORDS_H_
