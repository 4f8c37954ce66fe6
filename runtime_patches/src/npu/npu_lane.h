// The NPU's side of inferences by one step table: its regions, opened, and what became of them.
#ifndef HETCOMP_NPU_LANE_H_
#define HETCOMP_NPU_LANE_H_

#include <memory>
#include <string>
#include <vector>

#include "model/arena.h"
#include "model/model.h"
#include "npu/npu_driver.h"
#include "npu/npu_queue.h"
#include "session/walk_times.h"

namespace hetcomp {

// A driver in use by a session, with its queue. Given up at its first failure.
class NpuDevice {
 public:
  explicit NpuDevice(NpuDriver* driver) : driver_(driver) {}

  NpuDriver& driver() const { return *driver_; }
  NpuQueue& queue() { return queue_; }
  // "" while it serves.
  const std::string& why_bad() const { return why_bad_; }
  void GiveUp(const std::string& why);

 private:
  NpuDriver* const driver_;
  NpuQueue queue_;
  std::string why_bad_;
};

// Regions are counted from 1, as steps are. One thread.
class NpuLane {
 public:
  // Opens every region; one that the driver refuses stays with the CPU. `constants` and `device`
  // must outlive it.
  NpuLane(const Graph& graph, const Table& table, const Memory& memory, const char* constants,
          double timeout_ms, NpuDevice* device);

  // Hands region `number` over, if it can run.
  void Submit(int number);
  // Waits for it and writes its outputs. False: they are not there, the CPU has to compute them.
  bool Collect(int number);

  // Why some regions are not on the NPU; "" where all are.
  const std::string& why_not() const { return why_not_; }
  // When regions ran in the latest inference, from the start of the walk on.
  void FillSpans(double origin_us, std::vector<StepSpan>* spans) const;
  // Whether the CPU has computed a region since the last call.
  bool TakeTakenOver();

 private:
  struct Region {
    NpuRegion program;
    std::vector<char*> inputs;  // in the table's memory
    std::vector<char*> outputs;
    std::shared_ptr<NpuKernel> kernel;  // null: refused
    std::shared_ptr<NpuStaging> staging;
    std::shared_ptr<NpuJob> job;  // of this inference, null: not handed over
    StepSpan span;                // absolute
  };

  void Open(Region* region);
  bool Finish(int number);

  NpuDevice* const device_;
  const double timeout_us_;
  std::vector<Region> regions_;
  std::string why_not_;
  bool took_over_ = false;
};

}  // namespace hetcomp

#endif  // HETCOMP_NPU_LANE_H_
