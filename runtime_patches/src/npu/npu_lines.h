// Zeroed memory that begins at a cache line, so that no line of a tile lies on two.
#ifndef HETCOMP_NPU_LINES_H_
#define HETCOMP_NPU_LINES_H_

#include <cstddef>
#include <vector>

namespace hetcomp {

class NpuLines {
 public:
  explicit NpuLines(size_t bytes) : lines_((bytes + kLine - 1) / kLine) {}

  char* data() { return lines_.data()->bytes; }
  const char* data() const { return lines_.data()->bytes; }

 private:
  static constexpr size_t kLine = 64;
  struct alignas(kLine) Line {
    char bytes[kLine] = {};
  };

  std::vector<Line> lines_;
};

}  // namespace hetcomp

#endif  // HETCOMP_NPU_LINES_H_
