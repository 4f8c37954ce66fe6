#include "lanes/mailbox_lane.h"

#include <utility>

#include "base/error.h"

namespace hetcomp {

MailboxLane::MailboxLane(const Table& table, std::unique_ptr<GpuProgram> program,
                         GpuChannel* channel)
    : GpuLane(std::move(program), channel), cpu_steps_(static_cast<uint32_t>(table.cpu.size())) {}

// A gate may also be that of another lane of the channel.
bool MailboxLane::KernelWaits() const {
  return channel_->gate_closed() && channel_->gate() == next_gate_;
}

bool MailboxLane::Begin(bool /*ahead*/, Fault fault) {
  if (KernelWaits() && channel_->Begin(cpu_steps_, n_steps())) return true;
  Launch(fault);
  return false;
}

// The gate is open before there is a kernel that could give up waiting for that.
void MailboxLane::Launch(Fault fault) {
  const uint32_t gate = channel_->CloseGate();
  if (!channel_->Begin(cpu_steps_, n_steps())) ThrowInternal("a gate without a kernel was void");
  if (fault == Fault::kWedge) channel_->EnqueueWedge();
  program_->EnqueueStaying(gate, channel_->Rounds(kStayUs), fault);
  channel_->Flush();
}

void MailboxLane::End() {
  GpuLane::End();
  channel_->ExpectNextGate();
  next_gate_ = channel_->gate();
}

void MailboxLane::AfterCpuStep(uint32_t ordinal, bool signal) {
  if (signal) Store(&channel_->sync()->cpu_epoch.value, channel_->cpu_base() + ordinal);
}

}  // namespace hetcomp
