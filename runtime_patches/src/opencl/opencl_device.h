// The process's OpenCL device: set up once, proven, never torn down.
//
// Drivers keep threads, and a driver's exit handlers may wait for kernels that spin: so contexts
// and queues are leaked on purpose. Each model.so has its own instance, as each carries its own
// copy of this runtime, but the context and the queue are the process's.
#ifndef HETCOMP_OPENCL_DEVICE_H_
#define HETCOMP_OPENCL_DEVICE_H_

#include <memory>
#include <string>
#include <string_view>

#include "doors/options.h"
#include "opencl/atomics_probe.h"
#include "opencl/cached_program.h"
#include "opencl/opencl_api.h"
#include "opencl/opencl_build.h"
#include "opencl/opencl_select.h"
#include "opencl/shared_queue.h"

namespace hetcomp {

struct DeviceRequest {
  std::string library;
  PinMode pin = PinMode::kAuto;
  int cpu_core = -1;  // core for the threads that use the device, and
  int gpu_core = -1;  // core for its worker if it is a CPU device; -1 = do not pin
};

class OpenClDevice {
 public:
  // The device for this request, set up at the first call; later calls return the same object or
  // throw the same Error(kDevice). Any thread.
  static OpenClDevice& Get(const DeviceRequest& request);

  const ClHandles& cl() const { return cl_; }
  const DeviceChoice& choice() const { return choice_; }
  const ProbeResult& probe() const { return probe_; }
  // Whether kernels run on the requested core alone.
  bool pinned() const { return pinned_; }
  // Where a thread that spins for this device should run; -1 = anywhere.
  int host_core() const { return pinned_ ? host_core_ : -1; }

  // Work-groups beyond which a launch gains nothing: on a CPU device each costs more than a step of
  // a loop, on a GPU as many as there are tiles are wanted.
  size_t useful_groups() const { return useful_groups_; }
  // Whether one work-item has the device for itself: a CPU device of one core.
  bool one_unit() const { return one_unit_; }

  // The model's program for kernels with or without buffers, made at the first call; all sessions
  // of this model.so share it. Call with the queue's turn.
  CachedProgram& Program(std::string_view source, MemoryKind memory, const CacheChoice& cache);
  double build_ms() const { return build_ms_; }
  // How the program was found, see CachedProgram.
  const char* program_cache(MemoryKind memory) const;

  // Shared with other models of the process: one inference, warm-up or measurement at a time.
  SharedQueue& queue() { return queue_; }

  // A device that hung or failed is used by nobody until TakeBack.
  bool bad() const { return queue_.bad(); }
  // Uses it again if all that was enqueued has ended and it passes the probe as at first. False
  // otherwise, and for a device that keeps failing. Call with the queue's turn.
  bool TakeBack();

 private:
  explicit OpenClDevice(const DeviceRequest& request);
  void FindQueue(bool divide);
  void CreateQueue();

  OpenClApi api_;
  SharedQueue queue_;
  DeviceChoice choice_;
  ClHandles cl_;
  ProbeResult probe_;
  size_t useful_groups_ = 0;
  bool one_unit_ = false;
  bool pinned_ = false;
  int host_core_ = -1;
  int times_taken_back_ = 0;
  std::unique_ptr<CachedProgram>
      programs_[2];  // guarded by the queue's turn; of buffers the second
  double build_ms_ = 0.0;
};

}  // namespace hetcomp

#endif  // HETCOMP_OPENCL_DEVICE_H_
