// Tier mailbox, experimental: one kernel runs all steps of one inference after the other.
#ifndef HETCOMP_MAILBOX_LANE_H_
#define HETCOMP_MAILBOX_LANE_H_

#include <cstdint>
#include <memory>

#include "lanes/gpu_lane.h"
#include "model/model.h"

namespace hetcomp {

// The kernel that runs a list of all steps stays on the device between inferences: when it has
// passed a gate, it closes the next one, walks the list, and waits there. So nothing is enqueued
// as long as inferences come within kStayUs of each other. The gate's word is the mailbox: host and
// kernel decide by the same compare-and-swap as in svm-ahead whether an inference is begun or the
// kernel ends. It also ends when another session wants the queue, and when it is aborted.
class MailboxLane final : public GpuLane {
 public:
  MailboxLane(const Table& table, std::unique_ptr<GpuProgram> program, GpuChannel* channel);

  bool Begin(bool ahead, Fault fault) override;
  void BeginBatch() override { Begin(/*ahead=*/false, Fault::kNone); }
  void End() override;
  void BeforeCpuStep(uint32_t /*ordinal*/) override {}
  void AfterCpuStep(uint32_t ordinal, bool signal) override;
  uint32_t Finished() override { return channel_->Finished(); }

 private:
  bool KernelWaits() const;
  void Launch(Fault fault);

  const uint32_t cpu_steps_;
  uint32_t next_gate_ = 0;  // where this lane's kernel waits, if it does
};

}  // namespace hetcomp

#endif  // HETCOMP_MAILBOX_LANE_H_
