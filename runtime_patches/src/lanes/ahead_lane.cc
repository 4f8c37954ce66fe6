#include "lanes/ahead_lane.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace hetcomp {
namespace {

// For each step of the CPU the launches up to the first that waits for this step or a later one:
// such a launch cannot end before, so the device stays awake.
std::vector<size_t> JustInTime(const Table& table) {
  std::vector<size_t> needed;
  size_t launches = 0;
  for (size_t ordinal = 1; ordinal <= table.cpu.size(); ++ordinal) {
    const auto passes = [&](const Step& step) { return static_cast<size_t>(step.wait) < ordinal; };
    while (launches < table.gpu.size() && passes(table.gpu[launches])) ++launches;
    needed.push_back(std::min(launches + 1, table.gpu.size()));
  }
  return needed;
}

}  // namespace

AheadLane::AheadLane(const Table& table, std::unique_ptr<GpuProgram> program, GpuChannel* channel)
    : GpuLane(std::move(program), channel),
      cpu_steps_(static_cast<uint32_t>(table.cpu.size())),
      needed_(JustInTime(table)) {
  if (channel->device().choice().is_cpu && n_launches() == table.gpu.size()) return;
  std::fill(needed_.begin(), needed_.end(), n_launches());
}

void AheadLane::WarmUp(double limit_us) {
  channel_->EnqueueGate(/*held=*/true);
  GpuLane::WarmUp(limit_us);
}

bool AheadLane::Begin(bool ahead, Fault fault) {
  ahead_ = ahead;
  fault_ = fault;
  const bool enqueued = channel_->gate_closed();
  next_inference_ = false;
  if (enqueued) {
    if (next_ == 0) Enqueue();
    Flush();
    if (channel_->Begin(cpu_steps_, n_steps())) return true;
  }
  if (fault == Fault::kWedge) channel_->EnqueueWedge();
  next_ = 0;
  channel_->EnqueueGate(/*held=*/false);
  if (channel_->Begin(cpu_steps_, n_steps())) return false;
  throw Error(ErrorKind::kDevice, "the gate's kernel gave up waiting for the CPU");
}

void AheadLane::BeginBatch() {
  fault_ = Fault::kNone;
  channel_->EnqueueGate(/*held=*/false);
  for (next_ = 0; next_ < n_launches();) Enqueue();
  Flush();
  if (!channel_->Begin(cpu_steps_, n_steps())) {
    throw Error(ErrorKind::kDevice, "a measured task did not start in time");
  }
}

void AheadLane::BeforeCpuStep(uint32_t ordinal) {
  if (!next_inference_) {
    while (next_ < needed_[ordinal - 1]) Enqueue();
    // The device must not fall asleep between this inference and the next.
    if (ordinal == needed_.size()) {
      while (next_ < n_launches()) Enqueue();
      BeginNext();
    }
  }
  Flush();
}

void AheadLane::AfterCpuStep(uint32_t ordinal, bool signal) {
  if (signal) Store(&channel_->sync()->cpu_epoch.value, channel_->cpu_base() + ordinal);
}

uint32_t AheadLane::Finished() { return channel_->Finished(); }

WaitResult AheadLane::Pass(Spinner* spinner) {
  if (EnqueueOne()) return WaitResult::kReached;
  Flush();
  return spinner->Spin();
}

bool AheadLane::EnqueueOne() {
  if (next_ == n_launches() && (next_inference_ || !BeginNext())) return false;
  Enqueue();
  return true;
}

void AheadLane::Flush() {
  if (!dirty_) return;
  channel_->Flush();
  dirty_ = false;
}

void AheadLane::Enqueue() {
  program_->Enqueue(next_, fault_, nullptr);
  ++next_;
  dirty_ = true;
}

bool AheadLane::BeginNext() {
  if (!ahead_ || !channel_->GatePassed()) return false;
  channel_->EnqueueGate(/*held=*/true);
  next_inference_ = true;
  next_ = 0;
  return true;
}

}  // namespace hetcomp
