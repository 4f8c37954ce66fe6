#include "npu/npu_fault.h"

#include <chrono>
#include <new>
#include <thread>
#include <utility>

#include "base/error.h"

namespace hetcomp {
namespace {

// How long a driver goes on that is given up and does not know: shorter and longer than closing
// waits for it.
constexpr std::chrono::milliseconds kLate{200};
constexpr std::chrono::milliseconds kStuck{2500};

[[noreturn]] void Fail(const char* what) { throw Error(ErrorKind::kDevice, what); }

class FaultyKernel : public NpuKernel {
 public:
  FaultyKernel(std::unique_ptr<NpuKernel> kernel, NpuFault fault)
      : kernel_(std::move(kernel)), fault_(fault) {}

  void Run(const char* const* inputs, char* const* outputs,
           const std::atomic<bool>& abandoned) override {
    if (fault_ == NpuFault::kFail) Fail("it fails, as asked for");
    if (fault_ == NpuFault::kDie && runs_++ > 0) Fail("it dies, as asked for");
    if (fault_ == NpuFault::kExhaust) throw std::bad_alloc();
    if (fault_ == NpuFault::kHang || fault_ == NpuFault::kStuck) {
      while (!abandoned.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      std::this_thread::sleep_for(fault_ == NpuFault::kHang ? kLate : kStuck);
      const std::atomic<bool> unaware{false};
      return kernel_->Run(inputs, outputs, unaware);
    }
    kernel_->Run(inputs, outputs, abandoned);
  }

 private:
  const std::unique_ptr<NpuKernel> kernel_;
  const NpuFault fault_;
  int runs_ = 0;
};

class FaultyDriver : public NpuDriver {
 public:
  FaultyDriver(NpuDriver* driver, NpuFault fault) : driver_(driver), fault_(fault) {}

  const char* name() const override { return driver_->name(); }

  std::string WhyMissing() override {
    return fault_ == NpuFault::kMissing ? "it is missing, as asked for" : driver_->WhyMissing();
  }

  std::unique_ptr<NpuKernel> Open(const NpuRegion& region) override {
    if (fault_ == NpuFault::kRefuse) Fail("it refuses, as asked for");
    if (fault_ == NpuFault::kMemory) throw std::bad_alloc();
    return std::make_unique<FaultyKernel>(driver_->Open(region), fault_);
  }

 private:
  NpuDriver* const driver_;
  const NpuFault fault_;
};

}  // namespace

std::unique_ptr<NpuDriver> WithFault(NpuDriver* driver, NpuFault fault) {
  return std::make_unique<FaultyDriver>(driver, fault);
}

}  // namespace hetcomp
