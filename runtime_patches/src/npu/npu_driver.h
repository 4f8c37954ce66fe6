// What every driver of the `npu` backend has to offer. How regions get to it, asynchronously and
// within bounds, is the same for all: see npu_queue.h.
#ifndef HETCOMP_NPU_DRIVER_H_
#define HETCOMP_NPU_DRIVER_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "npu/npu_region.h"

namespace hetcomp {

// A region that a driver has opened. Run by one thread at a time; destroying it closes it.
class NpuKernel {
 public:
  NpuKernel() = default;
  virtual ~NpuKernel() = default;
  NpuKernel(const NpuKernel&) = delete;
  NpuKernel& operator=(const NpuKernel&) = delete;

  // Computes dense outputs from dense inputs, in the order of the region's ports. Throws anything
  // that is a std::exception. May return early once `abandoned`: nobody wants the outputs then.
  virtual void Run(const char* const* inputs, char* const* outputs,
                   const std::atomic<bool>& abandoned) = 0;
};

// One kind of NPU. Any thread; lives as long as the process.
class NpuDriver {
 public:
  virtual ~NpuDriver() = default;

  virtual const char* name() const = 0;
  // "" where it serves on this machine, else what is missing.
  virtual std::string WhyMissing() = 0;
  // Throws Error(kDevice) where it refuses the region, saying why. Borrows the region's constants.
  virtual std::unique_ptr<NpuKernel> Open(const NpuRegion& region) = 0;
};

// The driver of that name; null: there is none.
NpuDriver* FindNpuDriver(const std::string& name);

// All names.
std::vector<std::string> NpuDriverNames();

// The oracle: portable C++, never missing, takes every region.
NpuDriver* ReferenceNpu();

// Intel's AMX: products of bytes by tiles. Missing where the CPU or the kernel has it not.
NpuDriver* AmxNpu();

}  // namespace hetcomp

#endif  // HETCOMP_NPU_DRIVER_H_
