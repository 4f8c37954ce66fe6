// Bounded waits for OpenCL's events; clFinish and clWaitForEvents have no time limit.
#ifndef HETCOMP_CL_EVENTS_H_
#define HETCOMP_CL_EVENTS_H_

#include "lanes/sync.h"
#include "opencl/opencl_build.h"

namespace hetcomp {

// Owns one event, or none.
class ClEvent {
 public:
  ClEvent() = default;
  explicit ClEvent(const OpenClApi* api) : api_(api) {}
  ~ClEvent() { Reset(); }
  ClEvent(ClEvent&& other) noexcept : api_(other.api_), event_(other.event_) {
    other.event_ = nullptr;
  }
  ClEvent(const ClEvent&) = delete;
  ClEvent& operator=(const ClEvent&) = delete;
  ClEvent& operator=(ClEvent&&) = delete;

  cl_event get() const { return event_; }
  // For a call that stores an event; what was held is released.
  cl_event* Receive() {
    Reset();
    return &event_;
  }
  void Reset() {
    if (event_ != nullptr) api_->clReleaseEvent(event_);
    event_ = nullptr;
  }

 private:
  const OpenClApi* api_ = nullptr;
  cl_event event_ = nullptr;
};

// Whether the command has ended. Throws Error(kDevice) if it has failed.
bool IsComplete(const ClHandles& cl, cl_event event);

// Polls the event's status until the command has ended. Its queue must be flushed.
WaitResult PollEvent(const ClHandles& cl, cl_event event, double timeout_us);

// Sleeps until the command has ended, as clFinish does, but no longer than `timeout_us`. Its queue
// must be flushed.
WaitResult SleepUntilComplete(const ClHandles& cl, cl_event event, double timeout_us);

// Waits until everything in the queue has ended.
WaitResult FinishWithin(const ClHandles& cl, double timeout_us);

}  // namespace hetcomp

#endif  // HETCOMP_CL_EVENTS_H_
