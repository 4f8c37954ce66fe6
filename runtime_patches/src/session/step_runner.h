// One walk through a step table: the CPU's steps, its waits and its signals.
#ifndef HETCOMP_STEP_RUNNER_H_
#define HETCOMP_STEP_RUNNER_H_

#include <cstdint>

#include "cpu/cpu_program.h"
#include "cpu/shared_pool.h"
#include "lanes/gpu_lane.h"
#include "npu/npu_lane.h"
#include "session/walk_times.h"

namespace hetcomp {

// What a walk needs; everything is borrowed for its duration.
struct WalkContext {
  const CpuProgram* cpu = nullptr;
  SharedPool* pool = nullptr;  // null: one thread
  GpuLane* lane = nullptr;     // null: no GPU steps
  NpuLane* npu = nullptr;      // null: the CPU computes the NPU's regions
};

enum class WalkResult { kDone, kTimedOut, kAborted, kKernelFailed };

// Runs the CPU steps of an inference that the lane has begun. `times` may be null: it is made for
// the same table, and has begun. After kKernelFailed the text is pool->TakeError() or
// TakeKernelError(). Throws Error(kDevice) where an enqueue fails.
WalkResult Walk(const WalkContext& context, WalkTimes* times);

}  // namespace hetcomp

#endif  // HETCOMP_STEP_RUNNER_H_
