// The GPU's side of a step table, all arguments set for good: a kernel object per step, or one that
// runs all steps. On PoCL every launch costs both sides a microsecond.
#ifndef HETCOMP_GPU_PROGRAM_H_
#define HETCOMP_GPU_PROGRAM_H_

#include <memory>
#include <vector>

#include "doors/options.h"
#include "lanes/tier.h"
#include "model/arena.h"
#include "model/model.h"
#include "opencl/gpu_channel.h"
#include "opencl/mirror.h"

namespace hetcomp {

// `tier` says for which flags kernels wait and which they raise. `mirror`: the device's own memory;
// null: it shares `memory`. `chain`: run all steps by one launch where the device is a single core,
// and kernels wait; tier mailbox is refused elsewhere, by Error(kDevice). Owns its kernel objects;
// borrows channel and device. Call both Enqueues with the queue's turn.
class GpuProgram {
 public:
  GpuProgram(const Graph& graph, const Table& table, const Memory& memory, const Mirror* mirror,
             cl_program program, GpuChannel* channel, Tier tier, bool chain);
  GpuProgram(const GpuProgram&) = delete;
  GpuProgram& operator=(const GpuProgram&) = delete;

  // Enqueues every launch, not to run its body. Throws Error(kDevice).
  void EnqueueWithoutBodies();

  // Enqueues one launch; `fault` strikes at the second. `event` may be null. Throws Error(kDevice),
  // and TimeoutError where the driver came back later than the channel's time-out: nothing can be
  // done meanwhile, but the next inference need not wait for it.
  void Enqueue(size_t index, Fault fault, cl_event* event);

  // Enqueues the launch of all steps so that it stays: it waits at gates from number `gate` on,
  // until one is not opened within `rounds` rounds of polls. Throws Error(kDevice).
  void EnqueueStaying(uint32_t gate, int rounds, Fault fault);

  uint32_t n_steps() const { return n_steps_; }
  size_t n_launches() const { return launches_.size(); }

 private:
  struct Launch {
    KernelOwner kernel;
    cl_uint wait_index;  // position of the `wait` argument
    int wait;
    size_t global[2];  // work-items of the launch and
    size_t local[2];   // of a work-group
  };

  Launch Prepare(const Graph& graph, const Table& table, const Memory& memory, const Mirror* mirror,
                 cl_program program, const Step& step, int ordinal);
  cl_uint SetShared(const Graph& graph, const Table& table, const Memory& memory, const Step& step,
                    cl_kernel kernel);
  cl_uint SetMirrored(const Graph& graph, const Table& table, const Mirror& mirror,
                      const Step& step, cl_kernel kernel);
  Launch PrepareChain(const Graph& graph, const Table& table, const Memory& memory,
                      cl_program program);
  void SetStay(const Launch& launch, uint32_t gate, int rounds);
  void CheckWorkGroup(const Kernel& kernel, cl_kernel object) const;
  void Divide(const Kernel& kernel, const Range& range, Launch* launch) const;
  cl_int Submit(const Launch& launch, cl_event* event);

  GpuChannel* const channel_;
  const Tier tier_;
  const ClHandles cl_;
  const uint32_t n_steps_;
  std::vector<Launch> launches_;
  std::vector<std::unique_ptr<DeviceBlock>> syncs_;  // with a mirror one a launch
  Block chain_steps_;
  Block chain_pointers_;
};

}  // namespace hetcomp

#endif  // HETCOMP_GPU_PROGRAM_H_
