// A driver's own thread and queue: regions are handed over and waited for, never for ever.
#ifndef HETCOMP_NPU_QUEUE_H_
#define HETCOMP_NPU_QUEUE_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "npu/npu_driver.h"

namespace hetcomp {

// Dense inputs and outputs of one region. Belongs to whoever still uses it: a driver that is late
// writes here, and nowhere else.
struct NpuStaging {
  explicit NpuStaging(const NpuRegion& region);

  std::vector<std::vector<char>> inputs;
  std::vector<std::vector<char>> outputs;
};

// What was handed over; `state` is written by the worker, the times and the failure before it.
struct NpuJob {
  enum class State { kWaiting, kDone, kFailed };

  std::shared_ptr<NpuKernel> kernel;
  std::shared_ptr<NpuStaging> staging;
  std::atomic<State> state{State::kWaiting};
  std::exception_ptr failure;
  double start_us = 0.0;
  double end_us = 0.0;
};

enum class NpuResult { kDone, kFailed, kTimedOut };

// One worker, which runs jobs in order. Thread-safe.
class NpuQueue {
 public:
  NpuQueue();
  // Returns within kCloseMs: a job that does not end by then, and its thread, are left alone.
  ~NpuQueue();
  NpuQueue(const NpuQueue&) = delete;
  NpuQueue& operator=(const NpuQueue&) = delete;

  std::shared_ptr<NpuJob> Submit(std::shared_ptr<NpuKernel> kernel,
                                 std::shared_ptr<NpuStaging> staging);
  // After kTimedOut the job is abandoned.
  NpuResult Wait(const NpuJob& job, double timeout_us);
  // Nothing that runs or waits is wanted any more.
  void Abandon();

 private:
  struct Shared {
    std::mutex mutex;  // guards what follows but `abandoned`
    std::condition_variable more;
    std::condition_variable ended;
    std::deque<std::shared_ptr<NpuJob>> jobs;
    bool closing = false;
    bool closed = false;
    std::atomic<bool> abandoned{false};
  };

  static void Work(const std::shared_ptr<Shared>& shared);
  static void RunJob(NpuJob* job, const std::atomic<bool>& abandoned);

  const std::shared_ptr<Shared> shared_;
  std::thread worker_;
};

}  // namespace hetcomp

#endif  // HETCOMP_NPU_QUEUE_H_
