// Multiplication of bytes, or of bfloat16, by tiles: what a matrix engine is asked for, and the
// loop that keeps it busy. The instructions are a template argument: AMX (npu_amx.cc), or a test's
// model of it.
#ifndef HETCOMP_NPU_TILES_H_
#define HETCOMP_NPU_TILES_H_

#include <cstddef>
#include <cstdint>
#include <memory>

// Clang takes the instructions only in functions for CPUs that have them. Nothing else of these
// functions needs such a CPU.
#if defined(__x86_64__)
#define HETCOMP_TILE_CODE __attribute__((target("amx-tile,amx-int8,amx-bf16")))
#else
#define HETCOMP_TILE_CODE
#endif

namespace hetcomp {

constexpr int kTileRows = 16;
constexpr int kTileBytes = 64;  // of a row: bytes of the depth, or 16 columns of words or sums
constexpr int kTileColumns = 16;

// What `ldtilecfg` reads: rows, and bytes of a row, of each tile.
struct TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64, "the CPU expects 64 bytes");

// Sums of products of two tiles of rows with some panels of 16 columns.
struct TileJob {
  const char* left[2] = {};    // first rows of both tiles, unsigned bytes
  int64_t left_stride = 0;     // from one row to the next
  const int64_t* chunks = {};  // from a row's first byte to every 64 bytes of the depth
  size_t n_chunks = 0;
  const char* right = nullptr;  // words, see hetcomp/npu/operators.py
  int64_t panel_step = 0;       // to the next panel
  int64_t chunk_step = 0;       // to the next chunk
  int64_t right_stride = 0;     // to the next row of words
  int panels = 0;
  int32_t* sums =
      nullptr;  // or floats; the second tile's begin kTileRows rows behind the first one's
  int64_t sums_stride = 0;  // elements
};

// Used by one thread at a time.
class TileEngine {
 public:
  virtual ~TileEngine() = default;
  // Between the two this thread's tiles of the left operand have that many rows.
  virtual void Configure(int rows) = 0;
  virtual void Release() = 0;
  virtual void Multiply(const TileJob& job) = 0;
};

// `Tiles` has Configure, Release, Zero<t>, Load<t>, Store<t>, Dot<sums, left, right> of bytes, and
// DotFloats of bfloat16, whose sums are float32.
// Tiles 0 to 3 are sums, 4 and 5 rows of the left operand, 6 and 7 panels of the right one.
template <typename Tiles, bool kFloats = false>
class TileEngineOf final : public TileEngine {
 public:
  void Configure(int rows) override {
    TileConfig config;
    for (int tile = 0; tile < 8; ++tile) {
      config.row_bytes[tile] = kTileBytes;
      config.rows[tile] = static_cast<uint8_t>(tile < 6 ? rows : kTileRows);
    }
    tiles_.Configure(config);
  }

  void Release() override { tiles_.Release(); }

  HETCOMP_TILE_CODE void Multiply(const TileJob& job) override {
    int panel = 0;
    for (; panel + 2 <= job.panels; panel += 2) MultiplyPanels<2>(job, panel);
    if (panel < job.panels) MultiplyPanels<1>(job, panel);
  }

 private:
  template <int kPanels>
  HETCOMP_TILE_CODE void MultiplyPanels(TileJob job, int first) {  // a copy: in registers
    tiles_.template Zero<0>();
    tiles_.template Zero<1>();
    if constexpr (kPanels == 2) {
      tiles_.template Zero<2>();
      tiles_.template Zero<3>();
    }
    const char* right = job.right + first * job.panel_step;
    for (size_t k = 0; k < job.n_chunks; ++k, right += job.chunk_step) {
      tiles_.template Load<4>(job.left[0] + job.chunks[k], job.left_stride);
      tiles_.template Load<5>(job.left[1] + job.chunks[k], job.left_stride);
      tiles_.template Load<6>(right, job.right_stride);
      Dot<0, 4, 6>();
      Dot<1, 5, 6>();
      if constexpr (kPanels == 2) {
        tiles_.template Load<7>(right + job.panel_step, job.right_stride);
        Dot<2, 4, 7>();
        Dot<3, 5, 7>();
      }
    }
    const int64_t stride = job.sums_stride * static_cast<int64_t>(sizeof(int32_t));
    int32_t* const sums = job.sums + first * kTileColumns;
    int32_t* const second = sums + kTileRows * job.sums_stride;
    tiles_.template Store<0>(sums, stride);
    tiles_.template Store<1>(second, stride);
    if constexpr (kPanels == 2) {
      tiles_.template Store<2>(sums + kTileColumns, stride);
      tiles_.template Store<3>(second + kTileColumns, stride);
    }
  }

  template <int kSums, int kLeft, int kRight>
  HETCOMP_TILE_CODE void Dot() {
    if constexpr (kFloats) {
      tiles_.template DotFloats<kSums, kLeft, kRight>();
    } else {
      tiles_.template Dot<kSums, kLeft, kRight>();
    }
  }

  Tiles tiles_;
};

}  // namespace hetcomp

#endif  // HETCOMP_NPU_TILES_H_
