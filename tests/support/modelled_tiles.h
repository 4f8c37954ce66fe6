// What the CPU's manual says of tiles, in portable C++: stands in for AMX where there is none.
#ifndef HETCOMP_TESTS_MODELLED_TILES_H_
#define HETCOMP_TESTS_MODELLED_TILES_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "npu_tiles.h"

namespace hetcomp {

// Where the CPU would raise an exception, the process ends.
class ModelledTiles {
 public:
  void Configure(const TileConfig& config) {
    Require(config.palette == 1 && config.start_row == 0, "the palette is 1");
    for (int tile = 0; tile < 16; ++tile) {
      const bool unused = config.rows[tile] == 0 && config.row_bytes[tile] == 0;
      Require(tile < 8 || unused, "there are eight tiles");
      Require(unused || (config.rows[tile] >= 1 && config.rows[tile] <= 16), "up to 16 rows");
      Require(unused || (config.row_bytes[tile] >= 1 && config.row_bytes[tile] <= 64),
              "up to 64 bytes a row");
    }
    config_ = config;
    std::memset(bytes_, 0, sizeof bytes_);
    configured_ = true;
  }

  void Release() { configured_ = false; }

  template <int kTile>
  void Zero() {
    Touch(kTile);
    std::memset(bytes_[kTile], 0, sizeof bytes_[kTile]);
  }

  template <int kTile>
  void Load(const void* rows, int64_t stride) {
    Zero<kTile>();
    for (int row = 0; row < config_.rows[kTile]; ++row) {
      std::memcpy(bytes_[kTile][row], static_cast<const char*>(rows) + row * stride,
                  config_.row_bytes[kTile]);
    }
  }

  template <int kTile>
  void Store(void* rows, int64_t stride) {
    Touch(kTile);
    for (int row = 0; row < config_.rows[kTile]; ++row) {
      std::memcpy(static_cast<char*>(rows) + row * stride, bytes_[kTile][row],
                  config_.row_bytes[kTile]);
    }
  }

  template <int kSums, int kLeft, int kRight>
  void Dot() {
    for (int tile : {kSums, kLeft, kRight}) Touch(tile);
    const int words = config_.row_bytes[kLeft] / 4;
    Require(config_.rows[kSums] == config_.rows[kLeft], "rows of sums and left");
    Require(config_.row_bytes[kSums] == config_.row_bytes[kRight], "columns of sums and right");
    Require(words == config_.rows[kRight], "the depth of left and right");
    for (int row = 0; row < config_.rows[kSums]; ++row) {
      for (int column = 0; column < config_.row_bytes[kSums] / 4; ++column) {
        uint32_t sum = Word(kSums, row, column);
        for (int word = 0; word < words; ++word) {
          for (int byte = 0; byte < 4; ++byte) {
            const int32_t left = bytes_[kLeft][row][4 * word + byte];
            const int32_t right = static_cast<int8_t>(bytes_[kRight][word][4 * column + byte]);
            sum += static_cast<uint32_t>(left * right);
          }
        }
        std::memcpy(&bytes_[kSums][row][4 * column], &sum, 4);
      }
    }
  }

 private:
  static void Require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "tiles: %s\n", what);
    std::abort();
  }

  void Touch(int tile) const {
    Require(configured_ && config_.rows[tile] > 0, "used without being configured");
  }

  uint32_t Word(int tile, int row, int column) const {
    uint32_t word;
    std::memcpy(&word, &bytes_[tile][row][4 * column], 4);
    return word;
  }

  TileConfig config_;
  bool configured_ = false;
  uint8_t bytes_[8][16][64] = {};
};

}  // namespace hetcomp

#endif  // HETCOMP_TESTS_MODELLED_TILES_H_
