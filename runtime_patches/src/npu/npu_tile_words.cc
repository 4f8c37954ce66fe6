#include "npu/npu_tile_words.h"

#include <algorithm>
#include <cstring>

namespace hetcomp {
namespace {

constexpr int64_t kTile = kTileRows * kTileBytes;
constexpr int64_t kWord = 4;

int64_t Panels(int64_t columns) { return (columns + kTileColumns - 1) / kTileColumns; }

}  // namespace

TileWords::TileWords(const std::vector<TileChunk>& chunks, int64_t columns)
    : chunks_(chunks),
      columns_(columns),
      packed_(chunks.size() * static_cast<size_t>(Panels(columns) * kTile)) {}

void TileWords::Pack(const char* words, int64_t pitch) {
  char* tile = packed_.data();
  for (int64_t first = 0; first < columns_; first += kTileColumns) {
    const int64_t count = std::min<int64_t>(kTileColumns, columns_ - first);
    for (const TileChunk& chunk : chunks_) {
      for (int64_t row = 0; row < chunk.words; ++row) {
        std::memcpy(tile + row * kTileBytes, words + kWord * ((chunk.word + row) * pitch + first),
                    static_cast<size_t>(kWord * count));
      }
      tile += kTile;
    }
  }
}

TileRight TileWords::right() const {
  return {packed_.data(), static_cast<int64_t>(chunks_.size()) * kTile, kTile, kTileBytes};
}

}  // namespace hetcomp
