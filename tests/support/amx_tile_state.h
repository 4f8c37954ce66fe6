// What Intel's manual says of AMX tiles, in portable C++: the state of one thread's tiles, and what
// instructions do to it. The tests' modelled tiles and the trap emulator share it.
#ifndef HETCOMP_TESTS_AMX_TILE_STATE_H_
#define HETCOMP_TESTS_AMX_TILE_STATE_H_

#include <cstdint>
#include <cstring>

namespace hetcomp {

// Why the CPU would raise an exception instead; without a text it would not.
struct TileFault {
  enum class Kind { kNone, kUndefined, kProtection };  // #UD, #GP

  Kind kind = Kind::kNone;
  const char* why = "";

  explicit operator bool() const { return kind != Kind::kNone; }
};

inline TileFault Undefined(const char* why) { return {TileFault::Kind::kUndefined, why}; }
inline TileFault Protection(const char* why) { return {TileFault::Kind::kProtection, why}; }

// Of palette 1, the only one: eight tiles of up to 16 rows of up to 64 bytes. Without constructors,
// so that it can be thread-local in a signal handler; zeroed it has no tiles.
class TileState {
 public:
  static constexpr int kTiles = 8;
  static constexpr int kRows = 16;
  static constexpr int kRowBytes = 64;

  bool configured() const { return config_[0] != 0; }

  TileFault Configure(const unsigned char* config) {
    if (config[0] > 1) return Protection("there is no such palette");
    if (config[0] == 0) return Release();
    if (config[1] != 0) return Protection("a start row is not emulated");
    if (!IsZero(config, 2, 16)) return Protection("reserved bytes are not 0");
    if (!IsZero(config, 16 + 2 * kTiles, 48) || !IsZero(config, 48 + kTiles, 64)) {
      return Protection("there are eight tiles");
    }
    for (int tile = 0; tile < kTiles; ++tile) {
      const int row_bytes = RowBytes(config, tile), rows = config[48 + tile];
      if (rows > kRows) return Protection("a tile has up to 16 rows");
      if (row_bytes > kRowBytes) return Protection("a row has up to 64 bytes");
      if ((rows == 0) != (row_bytes == 0)) return Protection("rows without bytes");
    }
    std::memcpy(config_, config, sizeof config_);
    std::memset(bytes_, 0, sizeof bytes_);
    return {};
  }

  void StoreConfig(unsigned char* config) const { std::memcpy(config, config_, sizeof config_); }

  TileFault Release() {
    std::memset(config_, 0, sizeof config_);
    return {};
  }

  TileFault Zero(int tile) {
    if (!Usable(tile)) return Undefined("a tile is used without being configured");
    std::memset(bytes_[tile], 0, sizeof bytes_[tile]);
    return {};
  }

  TileFault Load(int tile, const char* from, int64_t stride) {
    if (const TileFault fault = Zero(tile)) return fault;
    for (int row = 0; row < rows(tile); ++row) {
      std::memcpy(bytes_[tile][row], from + row * stride, Size(tile));
    }
    return {};
  }

  TileFault Store(int tile, char* to, int64_t stride) const {
    if (!Usable(tile)) return Undefined("a tile is used without being configured");
    for (int row = 0; row < rows(tile); ++row) {
      std::memcpy(to + row * stride, bytes_[tile][row], Size(tile));
    }
    return {};
  }

  // What every product of tiles asks for.
  TileFault CheckDot(int sums, int left, int right) const {
    if (!Usable(sums) || !Usable(left) || !Usable(right)) {
      return Undefined("a tile is used without being configured");
    }
    if (sums == left || sums == right || left == right) {
      return Undefined("a product: a tile is there twice");
    }
    if (row_bytes(sums) % 4 != 0 || row_bytes(left) % 4 != 0 || row_bytes(right) % 4 != 0) {
      return Undefined("a product: rows are no multiple of 4 bytes");
    }
    if (rows(sums) != rows(left)) return Undefined("a product: rows of sums and left differ");
    if (row_bytes(sums) != row_bytes(right)) {
      return Undefined("a product: columns of sums and right differ");
    }
    if (row_bytes(left) / 4 != rows(right)) {
      return Undefined("a product: the depths of left and right differ");
    }
    return {};
  }

  // Products of bytes in words of four, added to sums that wrap.
  TileFault DotBytes(int sums, int left, int right, bool left_signed, bool right_signed) {
    if (const TileFault fault = CheckDot(sums, left, right)) return fault;
    const int columns = row_bytes(sums) / 4;
    int32_t spread[kRows][4][kRows];  // the right tile by word, byte and column
    for (int word = 0; word < rows(right); ++word) {
      for (int at = 0; at < 4 * columns; ++at) {
        spread[word][at % 4][at / 4] = Byte(bytes_[right][word][at], right_signed);
      }
    }
    for (int row = 0; row < rows(sums); ++row) {
      uint32_t added[kRows] = {};
      for (int at = 0; at < row_bytes(left); ++at) {
        const int32_t factor = Byte(bytes_[left][row][at], left_signed);
        const int32_t* const others = spread[at / 4][at % 4];
        for (int column = 0; column < columns; ++column) {
          added[column] += static_cast<uint32_t>(factor * others[column]);
        }
      }
      AddWords(bytes_[sums][row], added, columns);
    }
    return {};
  }

  int rows(int tile) const { return config_[48 + tile]; }
  int row_bytes(int tile) const { return RowBytes(config_, tile); }
  unsigned char* row(int tile, int row) { return bytes_[tile][row]; }

 private:
  static int RowBytes(const unsigned char* config, int tile) {
    return config[16 + 2 * tile] | config[17 + 2 * tile] << 8;
  }

  static bool IsZero(const unsigned char* bytes, int begin, int end) {
    for (int at = begin; at < end; ++at) {
      if (bytes[at] != 0) return false;
    }
    return true;
  }

  static int32_t Byte(unsigned char byte, bool is_signed) {
    return is_signed ? static_cast<int32_t>(static_cast<int8_t>(byte)) : byte;
  }

  static void AddWords(unsigned char* row, const uint32_t* added, int columns) {
    uint32_t words[kRows];
    std::memcpy(words, row, sizeof words);
    for (int column = 0; column < columns; ++column) words[column] += added[column];
    std::memcpy(row, words, sizeof words);
  }

  size_t Size(int tile) const { return static_cast<size_t>(row_bytes(tile)); }

  bool Usable(int tile) const { return configured() && rows(tile) > 0; }

  unsigned char config_[64];
  unsigned char bytes_[kTiles][kRows][kRowBytes];
};

}  // namespace hetcomp

#endif  // HETCOMP_TESTS_AMX_TILE_STATE_H_
