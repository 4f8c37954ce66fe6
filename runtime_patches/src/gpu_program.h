// The GPU's side of a step table: one kernel object per step, all arguments set for good.
#ifndef HETCOMP_GPU_PROGRAM_H_
#define HETCOMP_GPU_PROGRAM_H_

#include <vector>

#include "arena.h"
#include "gpu_channel.h"
#include "model.h"

namespace hetcomp {

// Owns its kernel objects; borrows channel and device. Call WarmUp and EnqueueAll with the device's
// queue_mutex held.
class GpuProgram {
 public:
  GpuProgram(const Graph& graph, const Table& table, const Memory& memory, cl_program program,
             GpuChannel* channel);
  ~GpuProgram();
  GpuProgram(const GpuProgram&) = delete;
  GpuProgram& operator=(const GpuProgram&) = delete;

  // Executes every launch once without its body: drivers compile at the first execution. Throws
  // Error(kDevice) if the device does not come back within `limit_us`.
  void WarmUp(double limit_us);

  // Enqueues all steps in order; flushes after the first, so that the device wakes up early, and
  // at the end. `fault` strikes on the second step. Throws Error(kDevice).
  void EnqueueAll(Fault fault);

  uint32_t n_steps() const { return static_cast<uint32_t>(launches_.size()); }

 private:
  struct Launch {
    cl_kernel kernel;
    cl_uint wait_index;  // position of the `wait` argument
    int wait;
    size_t global[2];  // work-items of the launch and
    size_t local[2];   // of a work-group
  };

  Launch Prepare(const Graph& graph, const Table& table, const Memory& memory, cl_program program,
                 const Step& step, int ordinal);
  void CheckWorkGroup(const Kernel& kernel, cl_kernel object) const;
  void Divide(const Kernel& kernel, const Range& range, Launch* launch) const;
  cl_int Enqueue(const Launch& launch);

  GpuChannel* const channel_;
  const ClHandles cl_;
  std::vector<Launch> launches_;
};

}  // namespace hetcomp

#endif  // HETCOMP_GPU_PROGRAM_H_
