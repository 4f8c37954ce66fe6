#include "sync.h"

#include <sched.h>

#include "clock.h"

namespace hetcomp {
namespace {

constexpr int kPollsPerClockCheck = 1000;
// After this long, something else wants the core more than a spinning thread does.
constexpr double kYieldAfterUs = 2000.0;

}  // namespace

WaitResult SpinUntil(const std::atomic<int32_t>& word, uint32_t target, double timeout_us,
                     const std::atomic<int32_t>* abort) {
  double start_us = 0.0;
  for (;;) {
    for (int poll = 0; poll < kPollsPerClockCheck; ++poll) {
      if (Reached(Load(word), target)) return WaitResult::kReached;
      Pause();
    }
    if (abort != nullptr && Load(*abort) != kNoAbort) return WaitResult::kAborted;
    const double now_us = NowUs();
    if (start_us == 0.0) start_us = now_us;
    if (now_us - start_us > timeout_us) {
      // This thread itself may have been stopped for that long: look once more.
      return Reached(Load(word), target) ? WaitResult::kReached : WaitResult::kTimedOut;
    }
    if (now_us - start_us > kYieldAfterUs) sched_yield();
  }
}

}  // namespace hetcomp
