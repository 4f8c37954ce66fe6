#include "lanes/ready_lane.h"

#include <utility>

namespace hetcomp {

ReadyLane::ReadyLane(const Table& table, std::unique_ptr<GpuProgram> program, GpuChannel* channel)
    : GpuLane(std::move(program), channel), table_(table) {}

bool ReadyLane::Begin(bool /*ahead*/, Fault fault) {
  fault_ = fault;
  next_ = 0;
  channel_->BeginWithoutGate(static_cast<uint32_t>(table_.cpu.size()), n_steps());
  if (fault == Fault::kWedge) channel_->EnqueueWedge();
  EnqueueReady(0);
  return false;
}

void ReadyLane::AfterCpuStep(uint32_t ordinal, bool /*signal*/) { EnqueueReady(ordinal); }

void ReadyLane::EnqueueReady(uint32_t cpu_steps_done) {
  const size_t first = next_;
  while (next_ < table_.gpu.size() &&
         static_cast<uint32_t>(table_.gpu[next_].wait) <= cpu_steps_done) {
    Enqueue(next_, fault_);
    ++next_;
  }
  if (next_ != first) channel_->Flush();
}

uint32_t FlagLane::Finished() { return channel_->Finished(); }

void FlagLane::Enqueue(size_t index, Fault fault) { program_->Enqueue(index, fault, nullptr); }

EventLane::EventLane(const Table& table, std::unique_ptr<GpuProgram> program, GpuChannel* channel,
                     bool sleep)
    : ReadyLane(table, std::move(program), channel), sleep_(sleep) {
  for (size_t i = 0; i < table.gpu.size(); ++i) events_.emplace_back(channel->device().cl().api);
}

void EventLane::Enqueue(size_t index, Fault fault) {
  const bool awaited = sleep_ || table_.gpu[index].signal;
  Launch(index, fault, awaited ? events_[index].Receive() : nullptr);
}

bool EventLane::Begin(bool ahead, Fault fault) {
  finished_ = 0;
  return ReadyLane::Begin(ahead, fault);
}

WaitResult EventLane::Pass(Spinner* spinner) {
  if (!sleep_) return spinner->Spin();
  return SleepUntilComplete(channel_->device().cl(), events_[next_ - 1].get(),
                            channel_->timeout_us());
}

uint32_t EventLane::Finished() {
  for (size_t index = finished_; index < next_; ++index) {
    const cl_event event = events_[index].get();
    if (event == nullptr) continue;
    if (!IsComplete(channel_->device().cl(), event)) break;
    finished_ = static_cast<uint32_t>(index) + 1;
  }
  return finished_;
}

}  // namespace hetcomp
