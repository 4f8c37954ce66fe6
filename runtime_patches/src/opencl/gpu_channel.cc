#include "opencl/gpu_channel.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "base/clock.h"
#include "base/error.h"
#include "opencl/cl_events.h"

namespace hetcomp {
namespace {

// Kernels wait far longer than the host, so that the host is the one to give up: the cost of a
// poll is not known well, and a kernel that gives up in vain costs the device for good.
constexpr double kKernelLimitFactor = 4.0;
constexpr double kMaxRounds = 1 << 30;
constexpr double kLookAtEventUs = 10e3;
constexpr double kUsualRoundUs = 1.0;  // where it was not measured, no kernel waits for the host

std::shared_ptr<SyncBlock> MakeSync(const OpenClDevice& device, MemoryKind memory) {
  if (memory != MemoryKind::kFine) return std::make_shared<SyncBlock>();
  return AllocateSvmFor<SyncBlock>(device.cl());
}

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

GpuChannel::GpuChannel(OpenClDevice* device, cl_program program, const TierChoice& tier,
                       double timeout_ms, uint32_t epoch_start)
    : device_(device),
      tier_(tier.tier),
      memory_(tier.memory),
      timeout_us_(timeout_ms * 1e3),
      sync_(MakeSync(*device, tier.memory)),
      gate_kernel_(CreateKernel(device->cl(), program, "hetcomp_gate")),
      drain_(CreateKernel(device->cl(), program, "hetcomp_drain")),
      wedge_(CreateKernel(device->cl(), program, "hetcomp_wedge")),
      cpu_base_(epoch_start),
      gpu_base_(epoch_start),
      gate_(epoch_start) {
  const int rounds = Rounds(kKernelLimitFactor * timeout_us_);
  Store(&sync_->control.poll_rounds, static_cast<uint32_t>(rounds));
  Store(&sync_->cpu_epoch.value, epoch_start);
  Store(&sync_->gpu_epoch.value, epoch_start);
  Store(&sync_->gate_passed.value, gate_);
  Store(&sync_->control.run, UsesGates(tier_) ? 0 : 1);
  SetSync();
  LiveChannels& live = Live();
  std::lock_guard<std::mutex> lock(live.mutex);
  live.channels.insert(this);
}

// Where memory is not fine, there are neither gates nor flags to drain by.
void GpuChannel::SetSync() {
  const ClHandles& cl = device_->cl();
  if (memory_ == MemoryKind::kFine) {
    for (const KernelOwner* kernel : {&gate_kernel_, &drain_, &wedge_}) {
      SetPointerArgument(cl, kernel->get(), 0, sync_.get());
    }
    return;
  }
  wedge_sync_ =
      std::make_unique<DeviceBlock>(cl, memory_, sizeof(SyncBlock), sync_.get(), timeout_us_);
  wedge_sync_->SetArgument(wedge_.get(), 0, 0);
}

GpuChannel::~GpuChannel() {
  device_->queue().Forget(this);
  LiveChannels& live = Live();
  std::lock_guard<std::mutex> lock(live.mutex);
  live.channels.erase(this);
}

// Another session's closed gate would hold up what this one enqueues.
void GpuChannel::TakeQueue() {
  device_->queue().Use(this, [](void* user) { static_cast<GpuChannel*>(user)->VoidGate(); });
}

int GpuChannel::Rounds(double time_us) const {
  const double known_us = device_->probe().poll_round_us;
  const double round_us = known_us > 0.0 ? known_us : kUsualRoundUs;
  return static_cast<int>(std::min(time_us / round_us, kMaxRounds)) + 1;
}

uint32_t GpuChannel::CloseGate() {
  TakeQueue();
  VoidGate();
  // Its kernel must have read the gate's word before the next gate uses it.
  if (SpinUntil(sync_->gate_passed.value, gate_, timeout_us_, nullptr) != WaitResult::kReached) {
    throw Error(ErrorKind::kDevice, "the last gate's kernel did not end in time");
  }
  Store(&sync_->gate.value, ++gate_ * kGateStates + kGateClosed);
  return gate_;
}

// The kernel has closed it.
void GpuChannel::ExpectNextGate() {
  ++gate_;
  gate_closed_ = true;
}

void GpuChannel::EnqueueGate(bool held) {
  CloseGate();
  if (!held) in_flight_.store(true);
  SetIntArgument(device_->cl(), gate_kernel_.get(), 1, static_cast<int>(gate_));
  const double limit_us = held ? kHoldUs : kKernelLimitFactor * timeout_us_;
  SetIntArgument(device_->cl(), gate_kernel_.get(), 2, Rounds(limit_us));
  EnqueueSingle(gate_kernel_.get(), nullptr);
  gate_closed_ = true;
}

bool GpuChannel::LeaveClosed(GateState state) {
  gate_closed_ = false;
  int32_t closed = static_cast<int32_t>(gate_ * kGateStates + kGateClosed);
  return sync_->gate.value.compare_exchange_strong(closed, closed + static_cast<int32_t>(state),
                                                   std::memory_order_acq_rel);
}

void GpuChannel::VoidGate() {
  if (gate_closed_) LeaveClosed(kGateVoid);
}

void GpuChannel::PublishBases(uint32_t cpu_steps, uint32_t gpu_steps) {
  cpu_steps_ = cpu_steps;
  gpu_steps_ = gpu_steps;
  Store(&sync_->control.cpu_base, cpu_base_);
  Store(&sync_->control.gpu_base, gpu_base_);
}

bool GpuChannel::Begin(uint32_t cpu_steps, uint32_t gpu_steps) {
  in_flight_.store(true);
  opened_gate_ = gate_;
  PublishBases(cpu_steps, gpu_steps);
  return LeaveClosed(kGateOpen);
}

void GpuChannel::BeginWithoutGate(uint32_t cpu_steps, uint32_t gpu_steps) {
  TakeQueue();
  in_flight_.store(true);
  PublishBases(cpu_steps, gpu_steps);
}

uint32_t GpuChannel::Finished() const {
  const int32_t finished = static_cast<int32_t>(Load(sync_->gpu_epoch.value) - gpu_base_);
  return static_cast<uint32_t>(std::max(finished, 0));
}

void GpuChannel::End() {
  cpu_base_ += cpu_steps_;
  gpu_base_ += gpu_steps_;
  cpu_steps_ = 0;
  gpu_steps_ = 0;
  in_flight_.store(false);
}

bool GpuChannel::Drain(double timeout_us) {
  TakeQueue();
  VoidGate();
  Store(&sync_->control.abort, kAbortByHost);
  in_flight_.store(true);
  const WaitResult result =
      UsesFlags(tier_) ? DrainByFlag(timeout_us) : FinishWithin(device_->cl(), timeout_us);
  if (result != WaitResult::kReached) return false;
  End();
  Store(&sync_->groups_done.value, 0);
  Store(&sync_->control.abort, kNoAbort);
  return true;
}

WaitResult GpuChannel::DrainByFlag(double timeout_us) {
  const uint32_t signal = gpu_steps_ + 1;
  PublishBases(cpu_steps_, signal);
  SetIntArgument(device_->cl(), drain_.get(), 1, static_cast<int>(signal));
  ClEvent ended(device_->cl().api);
  EnqueueSingle(drain_.get(), ended.Receive());
  const auto look = [&](double limit_us) {
    return SpinUntil(sync_->gpu_epoch.value, gpu_base_ + signal, limit_us, nullptr);
  };
  const double start_us = NowUs();
  while (NowUs() - start_us < timeout_us) {
    if (look(std::min(timeout_us, kLookAtEventUs)) == WaitResult::kReached) {
      return WaitResult::kReached;
    }
    // A command that is lost, or ends without having run, would be waited for in vain.
    if (IsComplete(device_->cl(), ended.get())) break;
  }
  return look(0.0);
}

void GpuChannel::Abandon() {
  abandoned_.store(true);
  Store(&sync_->control.abort, kAbortByHost);
  device_->queue().MarkBad();
}

void GpuChannel::Flush() { HETCOMP_CL_CHECK(device_->cl().api->clFlush(device_->cl().queue)); }

void GpuChannel::EnqueueWedge() { EnqueueSingle(wedge_.get(), nullptr); }

void GpuChannel::EnqueueSingle(cl_kernel kernel, cl_event* event) {
  const ClHandles& cl = device_->cl();
  const size_t one[] = {1, 1};
  HETCOMP_CL_CHECK(
      cl.api->clEnqueueNDRangeKernel(cl.queue, kernel, 2, nullptr, one, one, 0, nullptr, event));
  Flush();
}

}  // namespace hetcomp
