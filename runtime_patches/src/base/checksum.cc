#include "base/checksum.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace hetcomp {
namespace {

constexpr size_t kWordBytes = 8;
constexpr size_t kLanes = 4;  // sums that do not wait for each other

std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0xEDB88320u : 0u);
    table[i] = value;
  }
  return table;
}

uint64_t Term(const char* word, size_t index) {
  uint64_t value;
  std::memcpy(&value, word, kWordBytes);
  return (value ^ value >> 32) * (2 * index + 1);
}

}  // namespace

uint32_t Crc32(std::string_view data) {
  const std::array<uint32_t, 256> table = MakeCrcTable();
  uint32_t crc = 0xFFFFFFFFu;
  for (unsigned char byte : data) crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8);
  return crc ^ 0xFFFFFFFFu;
}

uint64_t WordSum(std::string_view data) {
  const size_t words = data.size() / kWordBytes;
  uint64_t sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= words; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += Term(data.data() + (i + lane) * kWordBytes, i + lane);
    }
  }
  uint64_t sum = sums[0] + sums[1] + sums[2] + sums[3];
  for (; i < words; ++i) sum += Term(data.data() + i * kWordBytes, i);
  char rest[kWordBytes] = {};
  std::memcpy(rest, data.data() + words * kWordBytes, data.size() % kWordBytes);
  return sum + Term(rest, words);
}

}  // namespace hetcomp
