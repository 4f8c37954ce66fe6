#include "base/inflate.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

#include "base/error.h"

namespace hetcomp {
namespace {

constexpr size_t kSizeBytes = 8;
constexpr size_t kMostBytes = size_t{1} << 30;
constexpr int kLongestCode = 15;
constexpr int kEndOfBlock = 256;
constexpr int kFirstLength = 257;

[[noreturn]] void Damaged() { ThrowInput("model image: damaged OpenCL source"); }

class Bits {
 public:
  explicit Bits(std::string_view data) : data_(data) {}

  // The next `count` bits, at most 16, the first the lowest.
  uint32_t Take(int count) {
    while (held_ < count) {
      if (at_ == data_.size()) Damaged();
      bits_ |= uint32_t{static_cast<unsigned char>(data_[at_++])} << held_;
      held_ += 8;
    }
    const uint32_t value = bits_ & ((uint32_t{1} << count) - 1);
    bits_ >>= count;
    held_ -= count;
    return value;
  }

  void SkipToByte() { Take(held_ % 8); }

 private:
  std::string_view data_;
  size_t at_ = 0;
  uint32_t bits_ = 0;
  int held_ = 0;
};

// A canonical Huffman code: codes of one length are consecutive numbers, in the symbols' order.
class Code {
 public:
  explicit Code(const std::vector<int>& lengths) {
    for (int length : lengths) ++count_[static_cast<size_t>(length)];
    count_[0] = 0;
    for (int length = 1; length <= kLongestCode; ++length) {
      for (size_t symbol = 0; symbol < lengths.size(); ++symbol) {
        if (lengths[symbol] == length) symbols_.push_back(static_cast<int>(symbol));
      }
    }
  }

  int Decode(Bits* bits) const {
    int code = 0;   // the bits so far, less the first code of their length
    int first = 0;  // place of that code's symbol
    for (size_t length = 1; length <= kLongestCode; ++length) {
      code = 2 * code + static_cast<int>(bits->Take(1));
      if (code < count_[length]) return symbols_[static_cast<size_t>(first + code)];
      code -= count_[length];
      first += count_[length];
    }
    Damaged();
  }

 private:
  std::array<int, kLongestCode + 1> count_{};
  std::vector<int> symbols_;
};

struct Codes {
  Code literals;
  Code distances;
};

Codes FixedCodes() {
  std::vector<int> lengths(288, 8);
  std::fill(lengths.begin() + 144, lengths.begin() + 256, 9);
  std::fill(lengths.begin() + 256, lengths.begin() + 280, 7);
  return {Code(lengths), Code(std::vector<int>(30, 5))};
}

// Codes that the block itself tells, by a code for the lengths of their codes.
Codes ReadCodes(Bits* bits) {
  constexpr size_t kOrder[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  const size_t n_literals = bits->Take(5) + 257;
  const size_t n_distances = bits->Take(5) + 1;
  const size_t n_lengths = bits->Take(4) + 4;
  std::vector<int> of_lengths(std::size(kOrder), 0);
  for (size_t i = 0; i < n_lengths; ++i) of_lengths[kOrder[i]] = static_cast<int>(bits->Take(3));
  const Code code(of_lengths);
  std::vector<int> lengths;
  while (lengths.size() < n_literals + n_distances) {
    const int symbol = code.Decode(bits);
    if (symbol < 16) {
      lengths.push_back(symbol);
      continue;
    }
    if (symbol == 16 && lengths.empty()) Damaged();
    const int repeated = symbol == 16 ? lengths.back() : 0;
    const uint32_t times = symbol == 16   ? 3 + bits->Take(2)
                           : symbol == 17 ? 3 + bits->Take(3)
                                          : 11 + bits->Take(7);
    lengths.insert(lengths.end(), times, repeated);
  }
  if (lengths.size() != n_literals + n_distances) Damaged();
  const auto middle = lengths.begin() + static_cast<std::ptrdiff_t>(n_literals);
  return {Code({lengths.begin(), middle}), Code({middle, lengths.end()})};
}

// Lengths and distances of matches: a base and extra bits that grow with the symbol.
size_t MatchLength(int symbol, Bits* bits) {
  const int index = symbol - kFirstLength;
  if (index < 8) return static_cast<size_t>(3 + index);
  if (index == 28) return 258;
  if (index > 28) Damaged();
  const int extra = index / 4 - 1;
  return ((size_t{4} + static_cast<size_t>(index % 4)) << extra) + 3 + bits->Take(extra);
}

size_t Distance(int symbol, Bits* bits) {
  if (symbol < 4) return static_cast<size_t>(1 + symbol);
  if (symbol > 29) Damaged();
  const int extra = symbol / 2 - 1;
  return ((size_t{2} + static_cast<size_t>(symbol % 2)) << extra) + 1 + bits->Take(extra);
}

void CopyStored(Bits* bits, std::string* text) {
  bits->SkipToByte();
  const uint32_t size = bits->Take(16);
  if ((size ^ 0xFFFF) != bits->Take(16)) Damaged();
  for (uint32_t i = 0; i < size; ++i) text->push_back(static_cast<char>(bits->Take(8)));
}

void CopyMatches(const Codes& codes, Bits* bits, std::string* text, size_t most) {
  for (int symbol = codes.literals.Decode(bits); symbol != kEndOfBlock;
       symbol = codes.literals.Decode(bits)) {
    if (symbol < kEndOfBlock) {
      text->push_back(static_cast<char>(symbol));
    } else {
      const size_t length = MatchLength(symbol, bits);
      const size_t distance = Distance(codes.distances.Decode(bits), bits);
      if (distance > text->size()) Damaged();
      for (size_t i = 0; i < length; ++i) text->push_back((*text)[text->size() - distance]);
    }
    if (text->size() > most) Damaged();
  }
}

}  // namespace

std::string Unpack(std::string_view packed) {
  std::string text;
  if (packed.empty()) return text;
  if (packed.size() < kSizeBytes) Damaged();
  uint64_t size = 0;
  for (size_t i = kSizeBytes; i-- > 0;) size = size << 8 | static_cast<unsigned char>(packed[i]);
  if (size > kMostBytes) Damaged();
  text.reserve(size);
  Bits bits(packed.substr(kSizeBytes));
  for (bool last = false; !last;) {
    last = bits.Take(1) != 0;
    const uint32_t kind = bits.Take(2);
    if (kind == 3) Damaged();
    if (kind == 0) {
      CopyStored(&bits, &text);
    } else {
      CopyMatches(kind == 1 ? FixedCodes() : ReadCodes(&bits), &bits, &text, size);
    }
  }
  if (text.size() != size) Damaged();
  return text;
}

}  // namespace hetcomp
