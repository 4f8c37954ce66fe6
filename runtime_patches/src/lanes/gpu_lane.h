// The GPU's side of inferences by one step table, as the CPU's walk sees it. There is one class for
// each way of handing steps to the device.
#ifndef HETCOMP_GPU_LANE_H_
#define HETCOMP_GPU_LANE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "doors/options.h"
#include "lanes/sync.h"
#include "opencl/gpu_channel.h"
#include "opencl/gpu_program.h"

namespace hetcomp {

// Steps are counted from 1. Owns the program, borrows the channel. Call every method with the
// queue's turn; all that enqueue throw Error(kDevice). The queue must be empty when a
// lane goes.
class GpuLane {
 public:
  GpuLane(std::unique_ptr<GpuProgram> program, GpuChannel* channel)
      : program_(std::move(program)), channel_(channel) {}
  virtual ~GpuLane() = default;
  GpuLane(const GpuLane&) = delete;
  GpuLane& operator=(const GpuLane&) = delete;

  uint32_t n_steps() const { return program_->n_steps(); }
  size_t n_launches() const { return program_->n_launches(); }

  // Executes every launch once without its body: drivers compile at the first execution. Throws
  // Error(kDevice) if the device does not come back within `limit_us`.
  virtual void WarmUp(double limit_us);

  // Starts an inference. `ahead`: the next one may be enqueued before it is asked for. Whether this
  // one was. `fault` strikes at the second launch.
  virtual bool Begin(bool ahead, Fault fault) = 0;
  // The same for a table without steps of the CPU, such that the GPU runs them without a pause.
  virtual void BeginBatch() = 0;
  // The inference is over on both sides.
  virtual void End() { channel_->End(); }

  // Step `ordinal` of the CPU is about to run, or has run.
  virtual void BeforeCpuStep(uint32_t ordinal) = 0;
  virtual void AfterCpuStep(uint32_t ordinal, bool signal) = 0;

  // The last step of the GPU that is seen to have ended.
  virtual uint32_t Finished() = 0;
  // What the CPU does between two looks at Finished: something useful, a short pause, or a sleep
  // until more has ended. kReached = look again.
  virtual WaitResult Pass(Spinner* spinner) { return spinner->Spin(); }
  // For one wait.
  Spinner spinner() const {
    return Spinner(channel_->timeout_us(), &channel_->sync()->control.abort);
  }
  // Waits until step `ordinal`, one that signals, has ended.
  WaitResult WaitFor(uint32_t ordinal);

 protected:
  const std::unique_ptr<GpuProgram> program_;
  GpuChannel* const channel_;
};

}  // namespace hetcomp

#endif  // HETCOMP_GPU_LANE_H_
