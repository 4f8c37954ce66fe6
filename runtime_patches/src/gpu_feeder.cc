#include "gpu_feeder.h"

#include <algorithm>

#include "error.h"

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

GpuFeeder::GpuFeeder(const Table& table, GpuProgram* program, GpuChannel* channel)
    : program_(program),
      channel_(channel),
      cpu_steps_(static_cast<uint32_t>(table.cpu.size())),
      needed_(JustInTime(table)) {
  if (channel->device().choice().is_cpu && program->n_launches() == table.gpu.size()) return;
  std::fill(needed_.begin(), needed_.end(), program->n_launches());
}

bool GpuFeeder::Begin(bool ahead, Fault fault) {
  ahead_ = ahead;
  fault_ = fault;
  const bool enqueued = channel_->gate_closed();
  next_inference_ = false;
  if (enqueued) {
    if (next_ == 0) Enqueue();
    Flush();
    if (channel_->Begin(cpu_steps_, program_->n_steps())) return true;
  }
  if (fault == Fault::kWedge) channel_->EnqueueWedge();
  next_ = 0;
  channel_->EnqueueGate(/*held=*/false);
  if (channel_->Begin(cpu_steps_, program_->n_steps())) return false;
  throw Error(ErrorKind::kDevice, "the gate's kernel gave up waiting for the CPU");
}

void GpuFeeder::BeforeCpuStep(size_t ordinal) {
  if (!next_inference_) {
    while (next_ < needed_[ordinal - 1]) Enqueue();
    // The device must not fall asleep between this inference and the next.
    if (ordinal == needed_.size()) {
      while (next_ < program_->n_launches()) Enqueue();
      BeginNext();
    }
  }
  Flush();
}

bool GpuFeeder::EnqueueOne() {
  if (next_ == program_->n_launches() && (next_inference_ || !BeginNext())) return false;
  Enqueue();
  return true;
}

void GpuFeeder::Flush() {
  if (!dirty_) return;
  channel_->Flush();
  dirty_ = false;
}

void GpuFeeder::Enqueue() {
  program_->Enqueue(next_, fault_);
  ++next_;
  dirty_ = true;
}

bool GpuFeeder::BeginNext() {
  if (!ahead_ || !channel_->GatePassed()) return false;
  channel_->EnqueueGate(/*held=*/true);
  next_inference_ = true;
  next_ = 0;
  return true;
}

}  // namespace hetcomp
