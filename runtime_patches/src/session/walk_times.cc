#include "session/walk_times.h"

#include <algorithm>

#include "base/clock.h"

namespace hetcomp {
namespace {

// A step's part of time that several share: as predicted, or all alike.
double Weight(const Step& step) { return step.predicted_us > 0.0 ? step.predicted_us : 1.0; }

// The first step from `index` on whose end was seen; one past the last if there is none.
size_t NextSeen(const WalkTimes& times, size_t index) {
  while (index < times.gpu_end_us.size() && times.gpu_end_us[index] < 0.0) ++index;
  return index;
}

}  // namespace

WalkTimes::WalkTimes(const Table& table)
    : cpu(table.cpu.size()),
      npu(table.npu.size()),
      gpu_end_us(table.gpu.size(), -1.0),
      gpu_watched(table.gpu.size(), false) {}

void WalkTimes::Begin() {
  std::fill(gpu_end_us.begin(), gpu_end_us.end(), -1.0);
  std::fill(gpu_watched.begin(), gpu_watched.end(), false);
  origin_us = NowUs();
}

void FillGpuSpans(const Table& table, const WalkTimes& times, std::vector<StepSpan>* spans) {
  double last_us = 0.0;
  size_t seen = 0;
  double left = 0.0;  // weight of the steps up to the next end that was seen
  for (size_t i = 0; i < table.gpu.size(); ++i) {
    if (i == 0 || i > seen) {
      seen = NextSeen(times, i);
      left = 0.0;
      for (size_t k = i; k <= seen && k < table.gpu.size(); ++k) left += Weight(table.gpu[k]);
    }
    const Step& step = table.gpu[i];
    const double seen_us = seen < times.gpu_end_us.size() ? times.gpu_end_us[seen] : times.total_us;
    const double freed_us =
        step.wait > 0 ? times.cpu[static_cast<size_t>(step.wait) - 1].end_us : 0.0;
    const double start_us = std::min(std::max(last_us, freed_us), std::max(last_us, seen_us));
    const double rest_us = std::max(0.0, seen_us - start_us);
    const double end_us = i == seen ? start_us + rest_us : start_us + rest_us * Weight(step) / left;
    (*spans)[i] = {start_us, end_us, start_us - last_us};
    left -= Weight(step);
    last_us = end_us;
  }
}

}  // namespace hetcomp
