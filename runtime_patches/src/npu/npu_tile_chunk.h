// The depth of a product, cut into what one row of a tile holds.
#ifndef HETCOMP_NPU_TILE_CHUNK_H_
#define HETCOMP_NPU_TILE_CHUNK_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "npu/npu_tiles.h"

namespace hetcomp {

// Up to 64 bytes of the depth. What lies behind them is read too, and multiplied by 0.
struct TileChunk {
  int64_t left = 0;   // from a row's first byte
  int64_t word = 0;   // first row of words of the right operand
  int64_t words = 0;  // rows, at most kTileRows
};

// Appends `depth` bytes that follow each other in the left operand, and words that do in the right.
inline void AppendChunks(int64_t left, int64_t word, int64_t depth,
                         std::vector<TileChunk>* chunks) {
  for (int64_t done = 0; done < depth; done += kTileBytes) {
    const int64_t bytes = std::min<int64_t>(kTileBytes, depth - done);
    chunks->push_back({left + done, word + done / 4, bytes / 4});
  }
}

}  // namespace hetcomp

#endif  // HETCOMP_NPU_TILE_CHUNK_H_
