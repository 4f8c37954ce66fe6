#include "lanes/sync.h"

#include <sched.h>

#include "base/clock.h"

namespace hetcomp {
namespace {

constexpr int kPollsPerClockCheck = 1000;
// After this long, something else wants the core more than a spinning thread does.
constexpr double kYieldAfterUs = 2000.0;

}  // namespace

WaitResult Spinner::Spin() {
  Pause();
  if (++polls_ % kPollsPerClockCheck != 0) return WaitResult::kReached;
  if (abort_ != nullptr && Load(*abort_) != kNoAbort) return WaitResult::kAborted;
  const double now_us = NowUs();
  if (start_us_ == 0.0) start_us_ = now_us;
  const double waited_us = now_us - start_us_;
  // This thread itself may have been stopped for that long: look again before giving up.
  if (waited_us > timeout_us_ && late_) return WaitResult::kTimedOut;
  late_ = waited_us > timeout_us_;
  if (waited_us > kYieldAfterUs) sched_yield();
  return WaitResult::kReached;
}

WaitResult SpinUntil(const std::atomic<int32_t>& word, uint32_t target, double timeout_us,
                     const std::atomic<int32_t>* abort) {
  Spinner spinner(timeout_us, abort);
  while (!Reached(Load(word), target)) {
    const WaitResult result = spinner.Spin();
    if (result != WaitResult::kReached) return result;
  }
  return WaitResult::kReached;
}

}  // namespace hetcomp
