// Instructions of AMX, assembled by the compiler's assembler, against plain arithmetic:
//
//   amx_instructions run            every instruction, operand and thread; prints what it compared
//   amx_instructions fault NAME     what the CPU answers with an exception; ends by its signal
//
// For a CPU with AMX, or the trap emulator.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "npu/npu_amx_probe.h"
#include "npu/npu_tiles.h"

namespace hetcomp {
namespace {

constexpr int kTileWords = kTileRows * kTileColumns;

struct Tile {
  alignas(64) unsigned char bytes[kTileRows][kTileBytes] = {};
};

void Check(bool holds, const char* what) {
  if (holds) return;
  std::printf("%s: not as in plain arithmetic\n", what);
  std::exit(1);
}

// Tiles of `rows` sums by `columns`, left operands of 4 * `words` bytes a row.
TileConfig Shapes(int rows, int words, int columns) {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    const bool left = tile == 4 || tile == 5, right = tile > 5;
    config.rows[tile] = static_cast<uint8_t>(right ? words : rows);
    config.row_bytes[tile] = static_cast<uint16_t>(4 * (left ? words : columns));
  }
  return config;
}

HETCOMP_TILE_CODE void Configure(const TileConfig& config) {
  __asm__ volatile("ldtilecfg %0" ::"m"(config));
}

template <typename T>
Tile Drawn(const std::function<T()>& draw) {
  Tile tile;
  for (auto& row : tile.bytes) {
    for (size_t at = 0; at < kTileBytes; at += sizeof(T)) {
      const T one = draw();
      std::memcpy(row + at, &one, sizeof one);
    }
  }
  return tile;
}

#define HETCOMP_DOT(instruction)                                                            \
  [](const Tile& left, const Tile& right, Tile* sums) __attribute__((target("amx-tile"))) { \
    __asm__ volatile(                                                                       \
        "tileloadd (%0,%3,1), %%tmm5\n\ttileloadd (%1,%3,1), %%tmm6\n\t"                    \
        "tileloadd (%2,%3,1), %%tmm3\n\t" instruction                                       \
        " %%tmm6, %%tmm5, %%tmm3\n\ttilestored %%tmm3, (%2,%3,1)" ::"r"(&left),             \
        "r"(&right), "r"(sums), "r"(int64_t{kTileBytes})                                    \
        : "memory");                                                                        \
  }

using Dot = void (*)(const Tile&, const Tile&, Tile*);

int Signed(unsigned char byte, bool is_signed) {
  return is_signed ? static_cast<signed char>(byte) : byte;
}

// Sums of products of bytes by definition.
void PlainDot(const Tile& left, const Tile& right, bool left_signed, bool right_signed, int rows,
              int words, int columns, Tile* sums) {
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      int64_t sum = 0;
      for (int k = 0; k < 4 * words; ++k) {
        sum += Signed(left.bytes[row][k], left_signed) *
               Signed(right.bytes[k / 4][4 * column + k % 4], right_signed);
      }
      uint32_t word;
      std::memcpy(&word, &sums->bytes[row][4 * column], 4);
      word += static_cast<uint32_t>(sum);
      std::memcpy(&sums->bytes[row][4 * column], &word, 4);
    }
  }
}

int CompareBytes(std::mt19937* bits) {
  const struct {
    Dot dot;
    bool left_signed, right_signed;
    const char* name;
  } kinds[] = {{HETCOMP_DOT("tdpbssd"), true, true, "tdpbssd"},
               {HETCOMP_DOT("tdpbsud"), true, false, "tdpbsud"},
               {HETCOMP_DOT("tdpbusd"), false, true, "tdpbusd"},
               {HETCOMP_DOT("tdpbuud"), false, false, "tdpbuud"}};
  int compared = 0;
  const std::function<uint32_t()> draw = [&] { return static_cast<uint32_t>((*bits)()); };
  for (const auto& kind : kinds) {
    for (int i = 0; i < 20; ++i) {
      const auto upto16 = [&] { return static_cast<int>((*bits)() % 16) + 1; };
      const int rows = upto16(), words = upto16(), columns = upto16();
      Configure(Shapes(rows, words, columns));
      const Tile left = Drawn(draw), right = Drawn(draw);
      Tile sums = Drawn(draw), expected = sums;
      kind.dot(left, right, &sums);
      PlainDot(left, right, kind.left_signed, kind.right_signed, rows, words, columns, &expected);
      Check(std::memcmp(&sums, &expected, sizeof sums) == 0, kind.name);
      ++compared;
    }
  }
  return compared;
}

// The lower or upper bfloat16 of a word, as a float.
float Half(const unsigned char* row, int pair, int i) {
  uint32_t bits = 0;
  std::memcpy(reinterpret_cast<char*>(&bits) + 2, row + 4 * pair + 2 * i, 2);
  float number;
  std::memcpy(&number, &bits, 4);
  return number;
}

// Small integers, whose sums and products are exact: any order gives the same.
int CompareExactFloats(std::mt19937* bits) {
  const std::function<uint16_t()> draw = [&] {
    const float number = static_cast<float>(static_cast<int>((*bits)() % 65) - 32);
    uint32_t whole;
    std::memcpy(&whole, &number, 4);
    return static_cast<uint16_t>(whole >> 16);
  };
  const Dot dot = HETCOMP_DOT("tdpbf16ps");
  Configure(Shapes(kTileRows, kTileRows, kTileColumns));
  for (int i = 0; i < 20; ++i) {
    const Tile left = Drawn(draw), right = Drawn(draw);
    Tile sums;
    dot(left, right, &sums);
    dot(left, right, &sums);
    for (int at = 0; at < kTileWords; ++at) {
      const int row = at / kTileColumns, column = at % kTileColumns;
      float expected = 0.0f, got;
      for (int k = 0; k < 2 * kTileRows; ++k) {
        expected +=
            2 * Half(left.bytes[row], k / 2, k % 2) * Half(right.bytes[k / 2], column, k % 2);
      }
      std::memcpy(&got, &sums.bytes[row][4 * column], 4);
      Check(got == expected, "tdpbf16ps");
    }
  }
  return 20;
}

// Addresses: all kinds of registers, scales and displacements.
HETCOMP_TILE_CODE int CompareAddresses() {
  alignas(64) static unsigned char memory[8192];
  for (size_t i = 0; i < sizeof memory; ++i) memory[i] = static_cast<unsigned char>(i * 7 + i / 64);
  Configure(Shapes(kTileRows, kTileRows, kTileColumns));
  const auto check = [&](int64_t offset, int64_t stride, const char* what) {
    Tile got;
    __asm__ volatile("tilestored %%tmm0, (%0,%1,1)" ::"r"(&got), "r"(int64_t{64}) : "memory");
    for (int row = 0; row < kTileRows; ++row) {
      Check(std::memcmp(got.bytes[row], memory + offset + row * stride, 64) == 0, what);
    }
  };
  const int64_t near = 3;
  __asm__ volatile("tileloadd (%0,%1,8), %%tmm0" ::"r"(memory), "r"(near) : "memory");
  check(0, 24, "scale 8");
  __asm__ volatile("tileloadd -16(%0,%1,4), %%tmm0" ::"r"(memory + 16), "r"(near) : "memory");
  check(0, 12, "displacement of a byte");
  __asm__ volatile("tileloadd 0x200(%0,%1,1), %%tmm0" ::"r"(memory), "r"(int64_t{64}) : "memory");
  check(512, 64, "displacement of four bytes");
  __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm0" ::"r"(memory + 6000), "r"(int64_t{-64})
                   : "memory");
  check(6000, -64, "tileloaddt1, a stride below 0");
  __asm__ volatile(
      "mov %0, %%r13\n\tmov %1, %%r14\n\ttileloadd (%%r13,%%r14,2), %%tmm0" ::"r"(memory),
      "r"(int64_t{48})
      : "r13", "r14", "memory");
  check(0, 96, "upper registers");
  __asm__ volatile("tileloadd (%0), %%tmm0" ::"r"(memory + 77) : "memory");
  check(77, 0, "no index");
  return 6;
}

int CompareConfigurations() {
  const TileConfig config = Shapes(5, 7, 9);
  TileConfig got;
  Configure(config);
  __asm__ volatile("sttilecfg %0" : "=m"(got));
  Check(std::memcmp(&config, &got, sizeof got) == 0, "sttilecfg");
  Tile tile;
  std::memset(tile.bytes, 1, sizeof tile.bytes);
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm2\n\ttilezero %%tmm2" ::"r"(&tile), "r"(int64_t{64}));
  __asm__ volatile("tilestored %%tmm2, (%0,%1,1)" ::"r"(&tile), "r"(int64_t{64}) : "memory");
  for (int row = 0; row < kTileRows; ++row) {
    for (int at = 0; at < kTileBytes; ++at) {
      Check(tile.bytes[row][at] == (row < 5 && at < 36 ? 0 : 1),
            "tilezero, tilestored of a small tile");
    }
  }
  static const TileConfig fixed = Shapes(3, 3, 3);
  __asm__ volatile("ldtilecfg %0\n\ttilerelease\n\tsttilecfg %1" ::"m"(fixed), "m"(got) : "memory");
  Check(std::memcmp(&got, std::vector<char>(64).data(), 64) == 0, "tilerelease");
  return 3;
}

// Every thread has tiles of its own.
int CompareThreads(uint32_t seed) {
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 4; ++i) {
    threads.emplace_back([seed, i] {
      std::mt19937 bits(seed + i);
      CompareBytes(&bits);
      __asm__ volatile("tilerelease");
    });
  }
  for (std::thread& thread : threads) thread.join();
  return static_cast<int>(threads.size());
}

int RunAll() {
  std::mt19937 bits(1);
  const int bytes = CompareBytes(&bits);
  const int floats = CompareExactFloats(&bits);
  std::printf("%d products of bytes, %d of bfloat16, ", bytes, floats);
  std::printf("%d addresses, ", CompareAddresses());
  std::printf("%d configurations, ", CompareConfigurations());
  std::printf("%d threads\n", CompareThreads(2));
  __asm__ volatile("tilerelease");
  return 0;
}

TileConfig With(const std::function<void(TileConfig*)>& change) {
  TileConfig config = Shapes(16, 16, 16);
  change(&config);
  return config;
}

HETCOMP_TILE_CODE void Multiply() { __asm__ volatile("tdpbusd %tmm6, %tmm4, %tmm0"); }

void OnOtherThread() {
  Configure(Shapes(16, 16, 16));
  std::thread(Multiply).join();
}

int Fault(const std::string& name) {
  using Change = std::function<void(TileConfig*)>;
  const std::vector<std::pair<const char*, Change>> configurations = {
      {"palette", [](TileConfig* c) { c->palette = 2; }},
      {"reserved", [](TileConfig* c) { c->reserved[3] = 1; }},
      {"ninth", [](TileConfig* c) { c->rows[8] = 1; }},
      {"rows", [](TileConfig* c) { c->rows[1] = 17; }},
      {"bytes", [](TileConfig* c) { c->row_bytes[1] = 65; }},
      {"half", [](TileConfig* c) { c->rows[1] = 0; }},
      {"depth", [](TileConfig* c) { c->rows[6] = 15; }},
      {"heights", [](TileConfig* c) { c->rows[4] = 15; }},
      {"widths", [](TileConfig* c) { c->row_bytes[6] = 60; }},
      {"unused", [](TileConfig* c) { c->row_bytes[6] = c->rows[6] = 0; }},
  };
  for (const auto& [key, change] : configurations) {
    if (name != key) continue;
    Configure(With(change));
    Multiply();
  }
  if (name == "unconfigured") Multiply();
  if (name == "thread") OnOtherThread();
  Configure(Shapes(16, 16, 16));
  // tdpbusd %tmm4, %tmm4, %tmm0: assemblers refuse it.
  if (name == "twice") __asm__ volatile(".byte 0xc4, 0xe2, 0x59, 0x5e, 0xc4");
  if (name == "floats") __asm__ volatile("tdpbf16ps %tmm6, %tmm4, %tmm0");
  if (name == "null") {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm0" ::"r"(nullptr), "r"(int64_t{64}));
  }
  __asm__ volatile("tilerelease");
  if (name == "released") Multiply();
  if (name == "other") __asm__ volatile("ud2");
  return 0;
}

int Main(const std::string& what, const std::string& name) {
  // Without permission: what follows does not ask.
  if (what == "fault" && name == "permission") Configure(Shapes(16, 16, 16));
  if (const std::string missing = WhyNoAmx(ProbeAmx()); !missing.empty()) {
    std::printf("%s\n", missing.c_str());
    return 77;
  }
  return what == "run" ? RunAll() : Fault(name);
}

}  // namespace
}  // namespace hetcomp

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  return hetcomp::Main(argv[1], argc > 2 ? argv[2] : "");
}
