#include "lanes/gpu_lane.h"

#include "base/error.h"

namespace hetcomp {

void GpuLane::WarmUp(double limit_us) {
  program_->EnqueueWithoutBodies();
  if (channel_->Drain(limit_us)) return;
  channel_->Abandon();
  throw Error(ErrorKind::kDevice, "the device did not finish warming up");
}

WaitResult GpuLane::WaitFor(uint32_t ordinal) {
  Spinner own = spinner();
  while (Finished() < ordinal) {
    const WaitResult result = Pass(&own);
    if (result != WaitResult::kReached) return result;
  }
  return WaitResult::kReached;
}

}  // namespace hetcomp
