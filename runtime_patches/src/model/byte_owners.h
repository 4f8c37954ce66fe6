// Who has written the bytes of an arena last, while a step table is replayed.
#ifndef HETCOMP_BYTE_OWNERS_H_
#define HETCOMP_BYTE_OWNERS_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

#include "model/byte_rect.h"

namespace hetcomp {

struct ByteOwner {
  bool gpu = false;
  uint32_t ordinal = 0;  // of the step, from 1; 0 = before the first
  bool shared = false;   // the other processor has these bytes too
};

class ByteOwners {
 public:
  // All bytes are the CPU's from before the first step.
  explicit ByteOwners(size_t bytes) { owners_[0] = {bytes, {}}; }

  void Write(const ByteRect& rect, const ByteOwner& owner) {
    ForRuns(rect, [&](ByteRun run) {
      Split(run.begin);
      Split(run.end);
      owners_.erase(owners_.lower_bound(run.begin), owners_.lower_bound(run.end));
      owners_[run.begin] = {run.end, owner};
    });
  }

  // Calls visit(run, owner&) for all parts of `rect` with one owner, in order.
  template <typename Visit>
  void Read(const ByteRect& rect, Visit visit) {
    ForRuns(rect, [&](ByteRun run) {
      Split(run.begin);
      Split(run.end);
      const auto end = owners_.lower_bound(run.end);
      for (auto part = owners_.lower_bound(run.begin); part != end; ++part) {
        visit(ByteRun{part->first, part->second.end}, part->second.owner);
      }
    });
  }

 private:
  struct Part {
    size_t end = 0;
    ByteOwner owner;
  };

  template <typename Visit>
  static void ForRuns(const ByteRect& rect, Visit visit) {
    if (rect.width == 0) return;
    for (size_t row = 0; row < rect.rows; ++row) {
      const size_t begin = rect.offset + row * rect.pitch;
      visit(ByteRun{begin, begin + rect.width});
    }
  }

  // Lets a part begin at `at`.
  void Split(size_t at) {
    auto next = owners_.upper_bound(at);
    if (next == owners_.begin()) return;
    auto part = std::prev(next);
    if (part->first == at || part->second.end <= at) return;
    owners_[at] = part->second;
    part->second.end = at;
  }

  std::map<size_t, Part> owners_;  // by first byte
};

}  // namespace hetcomp

#endif  // HETCOMP_BYTE_OWNERS_H_
