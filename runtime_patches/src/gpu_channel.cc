#include "gpu_channel.h"

#include <algorithm>
#include <mutex>
#include <set>

namespace hetcomp {
namespace {

// Kernels wait far longer than the host, so that the host is the one to give up: the cost of a
// poll is not known well, and a kernel that gives up in vain costs the device for good.
constexpr double kKernelLimitFactor = 4.0;
constexpr double kMaxRounds = 1 << 30;

// All channels, so that no kernel spins on while the process exits.
struct LiveChannels {
  std::mutex mutex;  // guards channels
  std::set<const GpuChannel*> channels;
};

LiveChannels& Live() {
  static auto* const live = new LiveChannels();  // leaked: used during exit
  return *live;
}

__attribute__((destructor)) void AbortInferencesAtExit() {
  LiveChannels& live = Live();
  std::lock_guard<std::mutex> lock(live.mutex);
  for (const GpuChannel* channel : live.channels) {
    // Only then is the memory sure to be mapped still: the driver may have been torn down.
    if (channel->in_flight()) Store(&channel->sync()->control.abort, kAbortByHost);
  }
}

}  // namespace

GpuChannel::GpuChannel(OpenClDevice* device, cl_program program, double timeout_ms,
                       uint32_t epoch_start)
    : device_(device),
      timeout_us_(timeout_ms * 1e3),
      cpu_base_(epoch_start),
      gpu_base_(epoch_start) {
  const ClHandles& cl = device->cl();
  sync_ = static_cast<SyncBlock*>(AllocateSvm(cl, sizeof(SyncBlock)));
  const double rounds = kKernelLimitFactor * timeout_us_ / device->probe().poll_round_us;
  Store(&sync_->control.poll_rounds, static_cast<uint32_t>(std::min(rounds, kMaxRounds)) + 1);
  Store(&sync_->cpu_epoch.value, epoch_start);
  Store(&sync_->gpu_epoch.value, epoch_start);
  drain_ = CreateKernel(cl, program, "hetcomp_drain");
  SetPointerArgument(cl, drain_, 0, sync_);
  wedge_ = CreateKernel(cl, program, "hetcomp_wedge");
  SetPointerArgument(cl, wedge_, 0, sync_);
  LiveChannels& live = Live();
  std::lock_guard<std::mutex> lock(live.mutex);
  live.channels.insert(this);
}

GpuChannel::~GpuChannel() {
  const ClHandles& cl = device_->cl();
  {
    LiveChannels& live = Live();
    std::lock_guard<std::mutex> lock(live.mutex);
    live.channels.erase(this);
  }
  cl.api->clReleaseKernel(drain_);
  cl.api->clReleaseKernel(wedge_);
  cl.api->clSVMFree(cl.context, sync_);
}

void GpuChannel::Begin(uint32_t cpu_steps, uint32_t gpu_steps) {
  cpu_steps_ = cpu_steps;
  gpu_steps_ = gpu_steps;
  in_flight_.store(true);
  Store(&sync_->control.cpu_base, cpu_base_);
  Store(&sync_->control.gpu_base, gpu_base_);
}

void GpuChannel::OpenGate() { Store(&sync_->cpu_epoch.value, cpu_base_ + kGateSteps); }

void GpuChannel::End() {
  cpu_base_ += cpu_steps_;
  gpu_base_ += gpu_steps_;
  cpu_steps_ = 0;
  gpu_steps_ = 0;
  in_flight_.store(false);
}

bool GpuChannel::Drain(double timeout_us) {
  Store(&sync_->control.abort, kAbortByHost);
  const uint32_t signal = gpu_steps_ + 1;
  gpu_steps_ = signal;
  Begin(cpu_steps_, gpu_steps_);
  SetIntArgument(device_->cl(), drain_, 1, static_cast<int>(signal));
  EnqueueSingle(drain_);
  if (SpinUntil(sync_->gpu_epoch.value, gpu_base_ + signal, timeout_us, nullptr) !=
      WaitResult::kReached) {
    return false;
  }
  End();
  Store(&sync_->groups_done.value, 0);
  Store(&sync_->control.abort, kNoAbort);
  return true;
}

void GpuChannel::Abandon() {
  Store(&sync_->control.abort, kAbortByHost);
  device_->MarkBad();
}

void GpuChannel::EnqueueWedge() { EnqueueSingle(wedge_); }

void GpuChannel::EnqueueSingle(cl_kernel kernel) {
  const ClHandles& cl = device_->cl();
  const size_t one[] = {1, 1};
  HETCOMP_CL_CHECK(
      cl.api->clEnqueueNDRangeKernel(cl.queue, kernel, 2, nullptr, one, one, 0, nullptr, nullptr));
  HETCOMP_CL_CHECK(cl.api->clFlush(cl.queue));
}

}  // namespace hetcomp
