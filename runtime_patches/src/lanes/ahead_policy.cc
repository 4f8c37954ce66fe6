#include "lanes/ahead_policy.h"

#include <algorithm>

#include "opencl/gpu_channel.h"

namespace hetcomp {
namespace {

constexpr int kMostNeeded = 1024;

}  // namespace

void AheadPolicy::Arrive(double now_us) {
  short_pauses_ = now_us - left_us_ < kHoldUs ? std::min(short_pauses_ + 1, kMostNeeded) : 0;
}

void AheadPolicy::Used() {
  ++used_;
  needed_ = std::max(1, needed_ / 2);
}

void AheadPolicy::Voided() {
  ++voided_;
  needed_ = std::min(needed_ * 2, kMostNeeded);
}

bool AheadPolicy::Wanted() const {
  if (mode_ != AheadMode::kAuto) return mode_ == AheadMode::kOn;
  return short_pauses_ >= needed_;
}

}  // namespace hetcomp
