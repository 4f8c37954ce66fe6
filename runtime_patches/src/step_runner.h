// One walk through a step table: the CPU's steps, its waits and its signals.
#ifndef HETCOMP_STEP_RUNNER_H_
#define HETCOMP_STEP_RUNNER_H_

#include <cstdint>
#include <vector>

#include "cpu_pool.h"
#include "cpu_program.h"
#include "gpu_channel.h"
#include "gpu_feeder.h"

namespace hetcomp {

// What a walk needs; everything is borrowed for its duration.
struct WalkContext {
  const CpuProgram* cpu = nullptr;
  CpuPool* pool = nullptr;        // null: one thread
  GpuChannel* channel = nullptr;  // null: no GPU steps
  GpuFeeder* feeder = nullptr;    // null: no GPU steps
  uint32_t gpu_steps = 0;
};

enum class WalkResult { kDone, kTimedOut, kAborted, kKernelFailed };

// Times of one walk, in microseconds from its start.
struct Trace {
  struct CpuTimes {
    double start_us;
    double end_us;
    double wait_us;  // spent waiting before start_us
  };
  double origin_us = 0.0;  // NowUs() at the start
  double total_us = 0.0;
  std::vector<CpuTimes> cpu;
  // When the CPU saw each GPU step's signal; -1 if it saw a later one first.
  std::vector<double> gpu_end_us;
  // Whether the CPU was watching when the signal came; if not, the time is an upper bound.
  std::vector<bool> gpu_watched;
};

// Runs the CPU steps of an inference that the feeder has begun. After kKernelFailed the text is
// pool->TakeError() or TakeKernelError(). Throws Error(kDevice) where an enqueue fails.
WalkResult Walk(const WalkContext& context);

// The same with time stamps; `trace` must have room for all steps.
WalkResult WalkTraced(const WalkContext& context, Trace* trace);

}  // namespace hetcomp

#endif  // HETCOMP_STEP_RUNNER_H_
