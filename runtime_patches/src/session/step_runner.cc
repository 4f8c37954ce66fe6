#include "session/step_runner.h"

#include <algorithm>

#include "base/clock.h"

namespace hetcomp {
namespace {

WalkResult FromWait(WaitResult result) {
  if (result == WaitResult::kReached) return WalkResult::kDone;
  return result == WaitResult::kTimedOut ? WalkResult::kTimedOut : WalkResult::kAborted;
}

// Waits for steps of the GPU and stamps each end that it sees.
class GpuWaiter {
 public:
  GpuWaiter(GpuLane* lane, WalkTimes* times) : lane_(lane), times_(times) {}

  WaitResult WaitFor(uint32_t ordinal) {
    Spinner spinner = lane_->spinner();
    bool watching = false;  // an end seen at the first look came while the CPU was busy
    for (;;) {
      const uint32_t finished = lane_->Finished();
      if (finished != seen_) Stamp(finished, watching);
      if (finished >= ordinal) return WaitResult::kReached;
      watching = true;
      const WaitResult result = lane_->Pass(&spinner);
      if (result != WaitResult::kReached) return result;
    }
  }

 private:
  void Stamp(uint32_t finished, bool watching) {
    seen_ = finished;
    if (times_ == nullptr) return;
    times_->gpu_end_us[finished - 1] = NowUs() - times_->origin_us;
    times_->gpu_watched[finished - 1] = watching;
  }

  GpuLane* const lane_;  // null if there are no GPU steps, so no waits
  WalkTimes* const times_;
  uint32_t seen_ = 0;
};

bool RunStep(const WalkContext& context, const CpuStep& step);

// Speaks to the NPU, and computes what does not come from there.
bool RunNpuStep(const WalkContext& context, const CpuStep& step) {
  if (step.npu > 0) {
    if (context.npu != nullptr) context.npu->Submit(step.npu);
    return true;
  }
  if (context.npu != nullptr && context.npu->Collect(-step.npu)) return true;
  return std::all_of(step.instead.begin(), step.instead.end(),
                     [&](const CpuStep& own) { return RunStep(context, own); });
}

bool RunStep(const WalkContext& context, const CpuStep& step) {
  if (step.npu != 0) return RunNpuStep(context, step);
  const CpuCall* calls = context.cpu->calls(step);
  return context.pool != nullptr ? context.pool->Run(calls, step.n_calls) : Invoke(calls[0]) == 0;
}

}  // namespace

WalkResult Walk(const WalkContext& context, WalkTimes* times) {
  GpuLane* const lane = context.lane;
  GpuWaiter waiter(lane, times);
  const auto now_us = [times] { return times == nullptr ? 0.0 : NowUs() - times->origin_us; };
  double last_us = now_us();  // end of the step before
  uint32_t ordinal = 0;
  for (const CpuStep& step : context.cpu->steps()) {
    ++ordinal;
    if (step.wait != 0) {
      const WaitResult waited = waiter.WaitFor(step.wait);
      if (waited != WaitResult::kReached) return FromWait(waited);
    }
    if (lane != nullptr) lane->BeforeCpuStep(ordinal);
    const double start_us = step.wait != 0 ? now_us() : last_us;
    if (!RunStep(context, step)) return WalkResult::kKernelFailed;
    if (lane != nullptr) lane->AfterCpuStep(ordinal, step.signal);
    const double end_us = now_us();
    if (times != nullptr) times->cpu[ordinal - 1] = {start_us, end_us, start_us - last_us};
    last_us = end_us;
  }
  if (lane != nullptr) {
    const WaitResult waited = waiter.WaitFor(lane->n_steps());
    if (waited != WaitResult::kReached) return FromWait(waited);
  }
  if (times != nullptr) times->total_us = now_us();
  return WalkResult::kDone;
}

}  // namespace hetcomp
