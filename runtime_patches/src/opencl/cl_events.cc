#include "opencl/cl_events.h"

#include <sched.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "base/error.h"

namespace hetcomp {
namespace {

// A status costs a lock in the driver, so that the clock may be read as often.
constexpr double kYieldAfterUs = 2000.0;

constexpr cl_int kNotYet = CL_COMPLETE + 1;  // CL_RUNNING

// Shared with a callback that may come when nobody waits any more.
struct Completion {
  std::mutex mutex;  // guards done
  std::condition_variable changed;
  bool done = false;
};

void OnComplete(cl_event /*event*/, cl_int /*status*/, void* user) {
  const std::unique_ptr<std::shared_ptr<Completion>> owner(
      static_cast<std::shared_ptr<Completion>*>(user));
  Completion& completion = **owner;
  {
    std::lock_guard<std::mutex> lock(completion.mutex);
    completion.done = true;
  }
  completion.changed.notify_one();
}

}  // namespace

bool IsComplete(const ClHandles& cl, cl_event event) {
  if (event == nullptr) throw Error(ErrorKind::kDevice, "a command was enqueued without an event");
  cl_int status = kNotYet;
  HETCOMP_CL_CHECK(cl.api->clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status),
                                          &status, nullptr));
  if (status < 0) CheckCl(status, "execution of a command", __FILE__, __LINE__);
  return status == CL_COMPLETE;
}

WaitResult PollEvent(const ClHandles& cl, cl_event event, double timeout_us) {
  const double start_us = NowUs();
  while (!IsComplete(cl, event)) {
    const double waited_us = NowUs() - start_us;
    if (waited_us > timeout_us) {
      // This thread itself may have been stopped for that long: look once more.
      return IsComplete(cl, event) ? WaitResult::kReached : WaitResult::kTimedOut;
    }
    if (waited_us > kYieldAfterUs) sched_yield();
    Pause();
  }
  return WaitResult::kReached;
}

WaitResult SleepUntilComplete(const ClHandles& cl, cl_event event, double timeout_us) {
  auto completion = std::make_shared<Completion>();
  // OnComplete's, also after an error: a driver may have taken it all the same.
  auto* user = new std::shared_ptr<Completion>(completion);
  HETCOMP_CL_CHECK(cl.api->clSetEventCallback(event, CL_COMPLETE, OnComplete, user));
  {
    std::unique_lock<std::mutex> lock(completion->mutex);
    const std::chrono::duration<double, std::micro> limit(timeout_us);
    completion->changed.wait_for(lock, limit, [&] { return completion->done; });
  }
  return IsComplete(cl, event) ? WaitResult::kReached : WaitResult::kTimedOut;
}

WaitResult FinishWithin(const ClHandles& cl, double timeout_us) {
  ClEvent marker(cl.api);
  HETCOMP_CL_CHECK(cl.api->clEnqueueMarkerWithWaitList(cl.queue, 0, nullptr, marker.Receive()));
  HETCOMP_CL_CHECK(cl.api->clFlush(cl.queue));
  return PollEvent(cl, marker.get(), timeout_us);
}

}  // namespace hetcomp
