#include "step_runner.h"

#include "clock.h"

namespace hetcomp {
namespace {

WalkResult FromWait(WaitResult result) {
  if (result == WaitResult::kReached) return WalkResult::kDone;
  return result == WaitResult::kTimedOut ? WalkResult::kTimedOut : WalkResult::kAborted;
}

// Waits for steps of the GPU and stamps each advance of its epoch that it sees. Meanwhile it
// enqueues: this inference's launches, and once its gate is passed the next one's.
class GpuWaiter {
 public:
  GpuWaiter(const WalkContext& context, WalkTimes* times)
      : channel_(context.channel), feeder_(context.feeder), times_(times) {}

  WaitResult WaitFor(uint32_t ordinal) {
    const SyncBlock& sync = *channel_->sync();
    Spinner spinner(channel_->timeout_us(), &sync.control.abort);
    bool watching = false;  // an advance seen at the first look came while the CPU was busy
    for (;;) {
      const uint32_t finished = Load(sync.gpu_epoch.value) - channel_->gpu_base();
      if (finished != seen_) Stamp(finished, watching);
      if (static_cast<int32_t>(finished - ordinal) >= 0) return WaitResult::kReached;
      watching = true;
      if (feeder_->EnqueueOne()) continue;
      feeder_->Flush();
      const WaitResult result = spinner.Spin();
      if (result != WaitResult::kReached) return result;
    }
  }

 private:
  void Stamp(uint32_t finished, bool watching) {
    seen_ = finished;
    // A stale epoch of the inference before lies "before" step 0.
    if (times_ == nullptr || finished == 0 || finished > times_->gpu_end_us.size()) return;
    times_->gpu_end_us[finished - 1] = NowUs() - times_->origin_us;
    times_->gpu_watched[finished - 1] = watching;
  }

  const GpuChannel* const channel_;  // these two are null if there are no GPU steps, so no waits
  GpuFeeder* const feeder_;
  WalkTimes* const times_;
  uint32_t seen_ = 0;
};

bool RunStep(const WalkContext& context, const CpuStep& step) {
  const CpuCall* calls = context.cpu->calls(step);
  return context.pool != nullptr ? context.pool->Run(calls, step.n_calls) : Invoke(calls[0]) == 0;
}

void Signal(const WalkContext& context, const CpuStep& step, uint32_t ordinal) {
  if (!step.signal || context.channel == nullptr) return;
  Store(&context.channel->sync()->cpu_epoch.value, context.channel->cpu_base() + ordinal);
}

}  // namespace

WalkResult Walk(const WalkContext& context, WalkTimes* times) {
  GpuWaiter waiter(context, times);
  const auto now_us = [times] { return times == nullptr ? 0.0 : NowUs() - times->origin_us; };
  double last_us = now_us();  // end of the step before
  uint32_t ordinal = 0;
  for (const CpuStep& step : context.cpu->steps()) {
    ++ordinal;
    if (step.wait != 0) {
      const WaitResult waited = waiter.WaitFor(step.wait);
      if (waited != WaitResult::kReached) return FromWait(waited);
    }
    if (context.feeder != nullptr) context.feeder->BeforeCpuStep(ordinal);
    const double start_us = step.wait != 0 ? now_us() : last_us;
    if (!RunStep(context, step)) return WalkResult::kKernelFailed;
    Signal(context, step, ordinal);
    const double end_us = now_us();
    if (times != nullptr) times->cpu[ordinal - 1] = {start_us, end_us, start_us - last_us};
    last_us = end_us;
  }
  if (context.gpu_steps != 0) {
    const WaitResult waited = waiter.WaitFor(context.gpu_steps);
    if (waited != WaitResult::kReached) return FromWait(waited);
  }
  if (times != nullptr) times->total_us = now_us();
  return WalkResult::kDone;
}

}  // namespace hetcomp
