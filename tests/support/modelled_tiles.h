// Tiles that portable C++ models: stand in for AMX where there is none.
#ifndef HETCOMP_TESTS_MODELLED_TILES_H_
#define HETCOMP_TESTS_MODELLED_TILES_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "amx_tile_state.h"
#include "npu/npu_bf16.h"
#include "npu/npu_tiles.h"

namespace hetcomp {

// Where the CPU would raise an exception, the process ends.
class ModelledTiles {
 public:
  void Configure(const TileConfig& config) {
    Require(state_.Configure(reinterpret_cast<const unsigned char*>(&config)));
  }

  void Release() { Require(state_.Release()); }

  template <int kTile>
  void Zero() {
    Require(state_.Zero(kTile));
  }

  template <int kTile>
  void Load(const void* rows, int64_t stride) {
    Require(state_.Load(kTile, static_cast<const char*>(rows), stride));
  }

  template <int kTile>
  void Store(void* rows, int64_t stride) {
    Require(state_.Store(kTile, static_cast<char*>(rows), stride));
  }

  template <int kSums, int kLeft, int kRight>
  void Dot() {
    Require(state_.DotBytes(kSums, kLeft, kRight, false, true));
  }

  template <int kSums, int kLeft, int kRight>
  void DotFloats() {
    Require(state_.CheckDot(kSums, kLeft, kRight));
    const int columns = state_.row_bytes(kSums) / 4;
    for (int row = 0; row < state_.rows(kSums); ++row) {
      float added[kTileColumns], sums[kTileColumns];
      NpuPairSums pairs(columns, added);
      for (int pair = 0; pair < state_.rows(kRight); ++pair) {
        pairs.Add(Chars(state_.row(kLeft, row)) + 4 * pair, Chars(state_.row(kRight, pair)));
      }
      pairs.EndRun();
      std::memcpy(sums, state_.row(kSums, row), sizeof sums);
      for (int column = 0; column < columns; ++column) {
        sums[column] = Flushed(sums[column] + added[column]);
      }
      std::memcpy(state_.row(kSums, row), sums, sizeof sums);
    }
  }

 private:
  static const char* Chars(const unsigned char* bytes) {
    return reinterpret_cast<const char*>(bytes);
  }

  static void Require(TileFault fault) {
    if (!fault) return;
    std::fprintf(stderr, "tiles: %s\n", fault.why);
    std::abort();
  }

  TileState state_{};
};

}  // namespace hetcomp

#endif  // HETCOMP_TESTS_MODELLED_TILES_H_
