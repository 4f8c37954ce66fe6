// Tier svm-ahead: enqueues the GPU's launches before their inputs are ready, and those of the next
// inference in idle time.
#ifndef HETCOMP_AHEAD_LANE_H_
#define HETCOMP_AHEAD_LANE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "lanes/gpu_lane.h"
#include "model/model.h"

namespace hetcomp {

// An enqueue costs the CPU time, about 1 us on PoCL, that it has while it waits anyway. So a launch
// is enqueued at the latest when the GPU would otherwise run dry before the CPU's next step has
// ended, and at the earliest when the CPU waits. Devices that are no CPUs get all launches at once,
// since there each flush is dear.
class AheadLane final : public GpuLane {
 public:
  AheadLane(const Table& table, std::unique_ptr<GpuProgram> program, GpuChannel* channel);

  void WarmUp(double limit_us) override;
  bool Begin(bool ahead, Fault fault) override;
  void BeginBatch() override;
  // Enqueues what the GPU needs until the CPU's step has ended.
  void BeforeCpuStep(uint32_t ordinal) override;
  void AfterCpuStep(uint32_t ordinal, bool signal) override;
  uint32_t Finished() override;
  // Enqueues one more launch: of this inference, and once its gate is passed of the next one.
  WaitResult Pass(Spinner* spinner) override;

 private:
  void Enqueue();
  bool EnqueueOne();
  bool BeginNext();
  void Flush();

  const uint32_t cpu_steps_;
  std::vector<size_t> needed_;  // launches to enqueue before each step of the CPU
  size_t next_ = 0;             // launch to be enqueued next
  bool ahead_ = false;
  bool next_inference_ = false;  // next_ is of the inference after this one
  bool dirty_ = false;           // some launches are not flushed
  Fault fault_ = Fault::kNone;
};

}  // namespace hetcomp

#endif  // HETCOMP_AHEAD_LANE_H_
