#include "model/byte_rect.h"

namespace hetcomp {
namespace {

// Runs that touch become one.
std::vector<ByteRun> Joined(const std::vector<ByteRun>& runs) {
  std::vector<ByteRun> joined;
  for (const ByteRun& run : runs) {
    if (!joined.empty() && joined.back().end == run.begin) {
      joined.back().end = run.end;
    } else {
      joined.push_back(run);
    }
  }
  return joined;
}

// Whether `run` is the next row of `rect`.
bool Continues(const ByteRect& rect, const ByteRun& run) {
  if (run.end - run.begin != rect.width) return false;
  return rect.rows == 1 || run.begin == rect.offset + rect.rows * rect.pitch;
}

}  // namespace

std::vector<ByteRect> RectsOf(const std::vector<ByteRun>& runs) {
  std::vector<ByteRect> rects;
  for (const ByteRun& run : Joined(runs)) {
    if (!rects.empty() && Continues(rects.back(), run)) {
      ByteRect& rect = rects.back();
      if (rect.rows == 1) rect.pitch = run.begin - rect.offset;
      ++rect.rows;
    } else {
      const size_t width = run.end - run.begin;
      rects.push_back({run.begin, width, width, 1});
    }
  }
  return rects;
}

}  // namespace hetcomp
