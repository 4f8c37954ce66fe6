// Bytes of a block of memory: `rows` runs of `width`, `pitch` apart.
#ifndef HETCOMP_BYTE_RECT_H_
#define HETCOMP_BYTE_RECT_H_

#include <cstddef>
#include <vector>

namespace hetcomp {

struct ByteRect {
  size_t offset = 0;
  size_t width = 0;
  size_t pitch = 0;  // at least `width`
  size_t rows = 1;

  size_t end() const { return offset + (rows - 1) * pitch + width; }
};

struct ByteRun {
  size_t begin = 0;
  size_t end = 0;
};

// The same bytes as few rectangles. `runs` are in order and do not overlap.
std::vector<ByteRect> RectsOf(const std::vector<ByteRun>& runs);

}  // namespace hetcomp

#endif  // HETCOMP_BYTE_RECT_H_
