// A session's connection to the device: its epochs, and the kernels that drain or wedge the queue.
#ifndef HETCOMP_GPU_CHANNEL_H_
#define HETCOMP_GPU_CHANNEL_H_

#include <atomic>
#include <cstdint>

#include "opencl_device.h"
#include "sync.h"

namespace hetcomp {

// Call every method with the device's queue_mutex held. The destructor frees the sync block, so
// the queue must be drained before; after Abandon, leak the channel.
class GpuChannel {
 public:
  GpuChannel(OpenClDevice* device, cl_program program, double timeout_ms, uint32_t epoch_start);
  ~GpuChannel();
  GpuChannel(const GpuChannel&) = delete;
  GpuChannel& operator=(const GpuChannel&) = delete;

  OpenClDevice& device() const { return *device_; }
  SyncBlock* sync() const { return sync_; }
  double timeout_us() const { return timeout_us_; }
  uint32_t cpu_base() const { return cpu_base_; }
  uint32_t gpu_base() const { return gpu_base_; }
  // Whether kernels of an inference may be running. Any thread.
  bool in_flight() const { return in_flight_.load(); }

  // Publishes the bases for an inference of so many steps, the CPU's gate (kGateSteps) included.
  void Begin(uint32_t cpu_steps, uint32_t gpu_steps);
  // Publishes the CPU's step 0: everything is enqueued, the GPU's first step may start.
  void OpenGate();
  // The inference is over on both sides.
  void End();

  // Ends an inference early: raises the abort flag, waits for the queue to empty, and makes the
  // channel ready for the next inference. False if the queue did not empty in time.
  bool Drain(double timeout_us);

  // Raises the abort flag so that no kernel spins on, and gives the device up for good.
  void Abandon();

  // Puts a hanging kernel into the queue (test hook).
  void EnqueueWedge();

 private:
  void EnqueueSingle(cl_kernel kernel);

  OpenClDevice* const device_;  // lives as long as the process
  const double timeout_us_;
  SyncBlock* sync_ = nullptr;
  cl_kernel drain_ = nullptr;
  cl_kernel wedge_ = nullptr;
  uint32_t cpu_base_;
  uint32_t gpu_base_;
  uint32_t cpu_steps_ = 0;
  uint32_t gpu_steps_ = 0;
  std::atomic<bool> in_flight_{false};
};

}  // namespace hetcomp

#endif  // HETCOMP_GPU_CHANNEL_H_
