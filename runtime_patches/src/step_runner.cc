#include "step_runner.h"

#include "clock.h"

namespace hetcomp {
namespace {

WalkResult FromWait(WaitResult result) {
  if (result == WaitResult::kReached) return WalkResult::kDone;
  return result == WaitResult::kTimedOut ? WalkResult::kTimedOut : WalkResult::kAborted;
}

// Watches the GPU's epoch and stamps each advance.
class GpuWatcher {
 public:
  GpuWatcher(const WalkContext& context, Trace* trace)
      : channel_(context.channel), feeder_(context.feeder), trace_(trace) {}

  WaitResult WaitFor(uint32_t ordinal) {
    const SyncBlock& sync = *channel_->sync();
    const double start_us = NowUs();
    bool watching = false;  // an advance seen at the first look came while the CPU was busy
    for (uint32_t polls = 0;; ++polls) {
      const uint32_t finished = Load(sync.gpu_epoch.value) - channel_->gpu_base();
      if (finished != seen_) Stamp(finished, watching);
      if (static_cast<int32_t>(finished - ordinal) >= 0) return WaitResult::kReached;
      watching = true;
      if (feeder_->EnqueueOne()) continue;
      feeder_->Flush();
      Pause();
      if (polls % 1000 != 999) continue;
      if (Load(sync.control.abort) != kNoAbort) return WaitResult::kAborted;
      if (NowUs() - start_us > channel_->timeout_us()) return WaitResult::kTimedOut;
    }
  }

 private:
  void Stamp(uint32_t finished, bool watching) {
    seen_ = finished;
    // A stale epoch of the inference before lies "before" step 0.
    if (finished == 0 || finished > trace_->gpu_end_us.size()) return;
    trace_->gpu_end_us[finished - 1] = NowUs() - trace_->origin_us;
    trace_->gpu_watched[finished - 1] = watching;
  }

  const GpuChannel* const channel_;  // these two are null if there are no GPU steps, so no waits
  GpuFeeder* const feeder_;
  Trace* const trace_;
  uint32_t seen_ = 0;
};

bool RunStep(const WalkContext& context, const CpuStep& step) {
  const CpuCall* calls = context.cpu->calls(step);
  return context.pool != nullptr ? context.pool->Run(calls, step.n_calls) : Invoke(calls[0]) == 0;
}

// Enqueues while it waits: this inference's launches, and once its gate is passed the next one's.
WaitResult WaitForGpu(const WalkContext& context, uint32_t ordinal) {
  const GpuChannel& channel = *context.channel;
  const SyncBlock& sync = *channel.sync();
  const struct {
    const std::atomic<int32_t>& word;
    uint32_t target;
  } waits[] = {{sync.gate_passed.value, channel.opened_gate()},
               {sync.gpu_epoch.value, channel.gpu_base() + ordinal}};
  for (const auto& [word, target] : waits) {
    while (!Reached(Load(word), target) && context.feeder->EnqueueOne()) {
    }
    context.feeder->Flush();
    const WaitResult result = SpinUntil(word, target, channel.timeout_us(), &sync.control.abort);
    if (result != WaitResult::kReached) return result;
  }
  return WaitResult::kReached;
}

void Signal(const WalkContext& context, const CpuStep& step, uint32_t ordinal) {
  if (!step.signal || context.channel == nullptr) return;
  Store(&context.channel->sync()->cpu_epoch.value, context.channel->cpu_base() + ordinal);
}

}  // namespace

WalkResult Walk(const WalkContext& context) {
  uint32_t ordinal = 0;
  for (const CpuStep& step : context.cpu->steps()) {
    ++ordinal;
    if (step.wait != 0) {
      const WaitResult waited = WaitForGpu(context, step.wait);
      if (waited != WaitResult::kReached) return FromWait(waited);
    }
    if (context.feeder != nullptr) context.feeder->BeforeCpuStep(ordinal);
    if (!RunStep(context, step)) return WalkResult::kKernelFailed;
    Signal(context, step, ordinal);
  }
  if (context.gpu_steps == 0) return WalkResult::kDone;
  return FromWait(WaitForGpu(context, context.gpu_steps));
}

WalkResult WalkTraced(const WalkContext& context, Trace* trace) {
  GpuWatcher watcher(context, trace);
  uint32_t ordinal = 0;
  for (const CpuStep& step : context.cpu->steps()) {
    Trace::CpuTimes& times = trace->cpu[ordinal++];
    const double wait_start_us = NowUs();
    if (step.wait != 0) {
      const WaitResult waited = watcher.WaitFor(step.wait);
      if (waited != WaitResult::kReached) return FromWait(waited);
    }
    if (context.feeder != nullptr) context.feeder->BeforeCpuStep(ordinal);
    const double start_us = NowUs();
    if (!RunStep(context, step)) return WalkResult::kKernelFailed;
    Signal(context, step, ordinal);
    times = {start_us - trace->origin_us, NowUs() - trace->origin_us, start_us - wait_start_us};
  }
  if (context.gpu_steps != 0) {
    const WaitResult waited = watcher.WaitFor(context.gpu_steps);
    if (waited != WaitResult::kReached) return FromWait(waited);
  }
  trace->total_us = NowUs() - trace->origin_us;
  return WalkResult::kDone;
}

}  // namespace hetcomp
