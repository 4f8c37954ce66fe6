// Threads that share the CPU's part of a step.
#ifndef HETCOMP_CPU_POOL_H_
#define HETCOMP_CPU_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "opencl/broker_protocol.h"

namespace hetcomp {

// One kernel call with its arguments, borrowed from CpuProgram. `first_argument` is the index of
// the arguments there, while their address is not known yet.
using CpuCall = HetcompCall;

// Runs the calls of a step on the calling thread and `threads - 1` workers.
//
// Workers spin, then yield, while an inference is running (between Begin and End), and sleep
// otherwise. One thread at a time may use a pool. The destructor joins the workers.
class CpuPool {
 public:
  // Worker i is pinned to cores[i + 1]; empty = not pinned.
  CpuPool(int threads, const std::vector<int>& cores);
  ~CpuPool();
  CpuPool(const CpuPool&) = delete;
  CpuPool& operator=(const CpuPool&) = delete;

  void Begin();
  void End();
  // Runs calls[0 .. n), n <= threads. False if a kernel failed: see TakeError.
  bool Run(const CpuCall* calls, int n);
  // Text of the failure that Run reported.
  std::string TakeError();

 private:
  void Start(int worker, const std::vector<int>& cores);
  void Stop();
  void Work(int worker);
  void SleepUntilActive();

  std::atomic<uint32_t> generation_{0};
  std::atomic<int> done_{0};
  std::atomic<bool> active_{false};
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};
  const CpuCall* calls_ = nullptr;  // published by generation_
  int n_calls_ = 0;                 // published by generation_
  std::mutex mutex_;                // guards error_, and the sleep on wake_
  std::condition_variable wake_;
  std::string error_;
  std::vector<std::thread> workers_;
};

// Calls one kernel; 0 = success.
inline int Invoke(const CpuCall& call) {
  TVMFFIAny result;
  result.type_index = kTVMFFINone;
  result.zero_padding = 0;
  result.v_int64 = 0;
  return call.function(nullptr, call.arguments, call.n_arguments, &result);
}

// Takes the error that a kernel has raised on this thread. Throws nothing: workers call it.
std::string TakeKernelError() noexcept;

}  // namespace hetcomp

#endif  // HETCOMP_CPU_POOL_H_
