// A session's connection to the device: its epochs and gates, and the kernels that drain or wedge
// the queue.
//
// In front of the launches of each inference stands a gate: a kernel that holds the queue until the
// host opens it. So an inference can be enqueued before it is asked for, and the device neither
// falls asleep nor runs dry while the host enqueues. A gate that is not opened in time becomes void
// by itself: what stands behind it then ends without effect, and the host, which finds that it
// cannot open the gate any more, enqueues anew.
#ifndef HETCOMP_GPU_CHANNEL_H_
#define HETCOMP_GPU_CHANNEL_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "lanes/sync.h"
#include "lanes/tier.h"
#include "opencl/device_block.h"
#include "opencl/opencl_device.h"

namespace hetcomp {

// How long a gate waits for an inference that nobody has asked for. A work-item of the device spins
// meanwhile.
constexpr double kHoldUs = 1000.0;

// How long the kernel of tier mailbox waits for another inference.
constexpr double kStayUs = 5000.0;

// Call every method but Abandon with the queue's turn. The destructor frees the sync block, so the
// queue must be drained before. After Abandon the channel must live for ever: its kernels may run
// still, and the queue's next user may ask it to give way.
class GpuChannel {
 public:
  // `tier`: in mailbox and svm-ahead kernels run behind gates, in the others at once. Where memory
  // is not fine, kernels know nothing of the sync block.
  GpuChannel(OpenClDevice* device, cl_program program, const TierChoice& tier, double timeout_ms,
             uint32_t epoch_start);
  ~GpuChannel();
  GpuChannel(const GpuChannel&) = delete;
  GpuChannel& operator=(const GpuChannel&) = delete;

  OpenClDevice& device() const { return *device_; }
  SyncBlock* sync() const { return sync_.get(); }
  double timeout_us() const { return timeout_us_; }
  uint32_t cpu_base() const { return cpu_base_; }
  uint32_t gpu_base() const { return gpu_base_; }
  // Whether kernels of an inference may be running. Any thread.
  bool in_flight() const { return in_flight_.load(); }

  // Puts the gate of an inference into the queue. A `held` one is for an inference that nobody has
  // asked for yet: it waits for a short time only. Throws Error(kDevice).
  void EnqueueGate(bool held);
  // For a kernel that waits at gates itself: closes the first, whose number is returned, and says
  // that it waits at the next one now. Throws Error(kDevice).
  uint32_t CloseGate();
  void ExpectNextGate();
  // Rounds of polls in `time_us`, at least.
  int Rounds(double time_us) const;
  // Number of the latest gate.
  uint32_t gate() const { return gate_; }
  // Whether a gate waits in the queue, or has waited and become void.
  bool gate_closed() const { return gate_closed_; }
  // Number of the gate of the inference that has begun last.
  uint32_t opened_gate() const { return opened_gate_; }
  // Whether the kernel of the latest gate has ended, so that another may be enqueued.
  bool GatePassed() const { return Load(sync_->gate_passed.value) == gate_; }

  // Publishes the bases for an inference of so many steps and opens the gate. False if the gate has
  // become void.
  bool Begin(uint32_t cpu_steps, uint32_t gpu_steps);
  // The same where there are no gates. The queue must be empty.
  void BeginWithoutGate(uint32_t cpu_steps, uint32_t gpu_steps);
  // Steps of the GPU that are seen to have ended.
  uint32_t Finished() const;
  // The inference is over on both sides.
  void End();
  // Gives up the inference behind a closed gate, if there is one.
  void VoidGate();

  // Ends an inference early: raises the abort flag, waits for the queue to empty, and makes the
  // channel ready for the next inference. False if the queue did not empty in time.
  bool Drain(double timeout_us);

  // Raises the abort flag so that no kernel spins on, and gives the device up for good.
  void Abandon();
  bool abandoned() const { return abandoned_.load(); }

  // Hands all that is enqueued to the device.
  void Flush();

  // Puts a hanging kernel into the queue (test hook).
  void EnqueueWedge();

 private:
  void TakeQueue();
  void PublishBases(uint32_t cpu_steps, uint32_t gpu_steps);
  bool LeaveClosed(GateState state);
  void SetSync();
  WaitResult DrainByFlag(double timeout_us);
  void EnqueueSingle(cl_kernel kernel, cl_event* event);

  OpenClDevice* const device_;  // lives as long as the process
  const Tier tier_;
  const MemoryKind memory_;
  const double timeout_us_;
  const std::shared_ptr<SyncBlock> sync_;
  std::unique_ptr<DeviceBlock> wedge_sync_;  // where memory is not fine
  KernelOwner gate_kernel_;
  KernelOwner drain_;
  KernelOwner wedge_;
  uint32_t cpu_base_;
  uint32_t gpu_base_;
  uint32_t cpu_steps_ = 0;
  uint32_t gpu_steps_ = 0;
  uint32_t gate_;  // number of the latest gate
  uint32_t opened_gate_ = 0;
  bool gate_closed_ = false;
  std::atomic<bool> in_flight_{false};
  std::atomic<bool> abandoned_{false};
};

}  // namespace hetcomp

#endif  // HETCOMP_GPU_CHANNEL_H_
