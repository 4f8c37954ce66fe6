// Tiers svm, event and finish: enqueues a launch when its inputs are ready, so that no kernel ever
// waits for the CPU. They differ in how the CPU learns that a launch has ended.
#ifndef HETCOMP_READY_LANE_H_
#define HETCOMP_READY_LANE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "lanes/gpu_lane.h"
#include "model/model.h"
#include "opencl/cl_events.h"

namespace hetcomp {

class ReadyLane : public GpuLane {
 public:
  ReadyLane(const Table& table, std::unique_ptr<GpuProgram> program, GpuChannel* channel);

  bool Begin(bool ahead, Fault fault) override;
  void BeginBatch() override { Begin(/*ahead=*/false, Fault::kNone); }
  void BeforeCpuStep(uint32_t /*ordinal*/) override {}
  void AfterCpuStep(uint32_t ordinal, bool signal) override;

 protected:
  // Puts launch `index` into the queue, and what announces its end, if anything waits for that.
  virtual void Enqueue(size_t index, Fault fault) = 0;

  const Table& table_;
  size_t next_ = 0;  // launch to be enqueued next

 private:
  void EnqueueReady(uint32_t cpu_steps_done);

  Fault fault_ = Fault::kNone;
};

// Tier svm: the last work-group of a launch raises the GPU's epoch, and the CPU polls that.
class FlagLane final : public ReadyLane {
 public:
  using ReadyLane::ReadyLane;
  uint32_t Finished() override;

 private:
  void Enqueue(size_t index, Fault fault) override;
};

// Tiers event and finish: the CPU polls the status of the launch's event, or sleeps until
// everything in the queue has ended.
class EventLane : public ReadyLane {
 public:
  EventLane(const Table& table, std::unique_ptr<GpuProgram> program, GpuChannel* channel,
            bool sleep);
  bool Begin(bool ahead, Fault fault) override;
  uint32_t Finished() override;
  WaitResult Pass(Spinner* spinner) override;

 protected:
  // Enqueues one launch; `event`, which may be null, is that of its end.
  virtual void Launch(size_t index, Fault fault, cl_event* event) {
    program_->Enqueue(index, fault, event);
  }

 private:
  void Enqueue(size_t index, Fault fault) final;

  const bool sleep_;             // until all has ended
  std::vector<ClEvent> events_;  // of the launches that signal; of all, to sleep for the last
  uint32_t finished_ = 0;
};

}  // namespace hetcomp

#endif  // HETCOMP_READY_LANE_H_
