// When the steps of one walk ran, as far as the CPU could see it.
#ifndef HETCOMP_WALK_TIMES_H_
#define HETCOMP_WALK_TIMES_H_

#include <cstdint>
#include <vector>

#include "model/model.h"

namespace hetcomp {

// Microseconds from the start of the walk.
struct StepSpan {
  double start_us = 0.0;
  double end_us = 0.0;
  double wait_us = 0.0;  // spent waiting for the other processor before start_us
};

// Times of one walk through a table. Made once per table and used again.
struct WalkTimes {
  explicit WalkTimes(const Table& table);

  // Forgets the walk before. The new one starts now.
  void Begin();

  double origin_us = 0.0;  // NowUs() at the start
  double total_us = 0.0;
  std::vector<StepSpan> cpu;
  std::vector<StepSpan> npu;  // an end of 0: the CPU ran the region
  // When the CPU saw each GPU step's signal; -1 if it saw a later one first.
  std::vector<double> gpu_end_us;
  // Whether the CPU was watching when the signal came; if not, the time is an upper bound.
  std::vector<bool> gpu_watched;
};

// What can be said of the GPU's steps: each starts when its predecessor and the CPU's step that it
// waits for have ended. Where the end was not seen, time up to the next end that was is divided as
// predicted. Writes one span per GPU step of `table`.
void FillGpuSpans(const Table& table, const WalkTimes& times, std::vector<StepSpan>* spans);

}  // namespace hetcomp

#endif  // HETCOMP_WALK_TIMES_H_
