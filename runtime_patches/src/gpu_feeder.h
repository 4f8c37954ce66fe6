// Enqueues the GPU's launches when they are needed, and those of the next inference in idle time.
#ifndef HETCOMP_GPU_FEEDER_H_
#define HETCOMP_GPU_FEEDER_H_

#include <cstddef>
#include <vector>

#include "gpu_channel.h"
#include "gpu_program.h"
#include "model.h"
#include "options.h"

namespace hetcomp {

// An enqueue costs the CPU time, about 1 us on PoCL, that it has while it waits anyway. So a launch
// is enqueued at the latest when the GPU would otherwise run dry before the CPU's next step has
// ended, and at the earliest when the CPU waits. Devices that are no CPUs get all launches at once,
// since there each flush is dear.
//
// Borrows program and channel. Call with the device's queue_mutex held; everything that enqueues
// throws Error(kDevice).
class GpuFeeder {
 public:
  GpuFeeder(const Table& table, GpuProgram* program, GpuChannel* channel);

  // Starts an inference. `ahead`: the next one may be enqueued before it is asked for. Whether this
  // one was. `fault` strikes at the second launch.
  bool Begin(bool ahead, Fault fault);
  // Enqueues what the GPU needs until the CPU's step `ordinal` (from 1) has ended.
  void BeforeCpuStep(size_t ordinal);
  // Enqueues one more launch, of this inference or the next. False if there is none.
  bool EnqueueOne();
  // Hands enqueued launches to the device.
  void Flush();

 private:
  void Enqueue();
  bool BeginNext();

  GpuProgram* const program_;
  GpuChannel* const channel_;
  const uint32_t cpu_steps_;
  std::vector<size_t> needed_;  // launches to enqueue before each step of the CPU
  size_t next_ = 0;             // launch to be enqueued next
  bool ahead_ = false;
  bool next_inference_ = false;  // next_ is of the inference after this one
  bool dirty_ = false;           // some launches are not flushed
  Fault fault_ = Fault::kNone;
};

}  // namespace hetcomp

#endif  // HETCOMP_GPU_FEEDER_H_
