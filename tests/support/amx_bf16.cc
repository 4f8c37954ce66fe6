#include "amx_bf16.h"

#include <immintrin.h>

namespace hetcomp {
namespace {

constexpr int kColumns = TileState::kRowBytes / 4;

// To nearest, no exception, denormals are 0 on both sides.
class FlushedRounding {
 public:
  FlushedRounding() : before_(_mm_getcsr()) { _mm_setcsr(0x1f80 | 0x8000 | 0x0040); }
  ~FlushedRounding() { _mm_setcsr(before_); }

 private:
  const unsigned before_;
};

float Float(const unsigned char* bf16) {
  const uint32_t bits = static_cast<uint32_t>(bf16[0] | bf16[1] << 8) << 16;
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

// Columns of the right tile as floats: [pair][first or second][column].
struct Spread {
  alignas(64) float numbers[TileState::kRows][2][kColumns] = {};
};

void SpreadRight(TileState* tiles, int right, Spread* spread) {
  const int columns = tiles->row_bytes(right) / 4;
  for (int pair = 0; pair < tiles->rows(right); ++pair) {
    const unsigned char* const row = tiles->row(right, pair);
    for (int column = 0; column < columns; ++column) {
      spread->numbers[pair][0][column] = Float(row + 4 * column);
      spread->numbers[pair][1][column] = Float(row + 4 * column + 2);
    }
  }
}

// All columns, in vectors that the compiler can neither contract nor split otherwise.
void DotRow(const unsigned char* left, int pairs, const Spread& right, unsigned char* row) {
  for (int half = 0; half < kColumns; half += 8) {
    __m256 partial[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int pair = 0; pair < pairs; ++pair) {
      for (int i = 0; i < 2; ++i) {
        const __m256 factor = _mm256_set1_ps(Float(left + 4 * pair + 2 * i));
        const __m256 others = _mm256_load_ps(right.numbers[pair][i] + half);
        partial[i] = _mm256_fmadd_ps(factor, others, partial[i]);
      }
    }
    float* const sums = reinterpret_cast<float*>(row) + half;
    const __m256 added = _mm256_add_ps(partial[0], partial[1]);
    _mm256_storeu_ps(sums, _mm256_add_ps(_mm256_loadu_ps(sums), added));
  }
}

}  // namespace

TileFault DotBf16(TileState* tiles, int sums, int left, int right) {
  if (const TileFault fault = tiles->CheckDot(sums, left, right)) return fault;
  Spread spread;
  SpreadRight(tiles, right, &spread);
  const FlushedRounding flushed;
  const int pairs = tiles->row_bytes(left) / 4;
  for (int row = 0; row < tiles->rows(sums); ++row) {
    DotRow(tiles->row(left, row), pairs, spread, tiles->row(sums, row));
  }
  return {};
}

}  // namespace hetcomp
