#include "opencl/probe_kernel.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "opencl/cl_events.h"

namespace hetcomp {
namespace {

constexpr double kKernelLimitUs = 1e6;
constexpr double kHostLimitUs = 2e6;
constexpr double kFirstRunLimitUs = 60e6;  // with all that a driver does at its first kernel
constexpr double kPauseUs = 20.0;          // after it a kernel is in the middle of its loop
constexpr double kCalibrationUs = 2000.0;
constexpr int kCalibrationTries = 4;
constexpr int kMaxRounds = 1 << 24;
constexpr cl_uint kWaitArgument = 2;
constexpr int kNoBody = -1;  // values of that argument
constexpr int kNoWait = 0;
constexpr int kWait = 1;    // the hand-shake waits for the CPU's first step
constexpr int kSignal = 2;  // and signals as the second step; as the first it says that it runs

int RoundsFor(double time_us, double round_us) {
  return static_cast<int>(std::min<double>(kMaxRounds, time_us / round_us)) + 1;
}

bool Seen(const std::atomic<int32_t>& word, uint32_t value) {
  return SpinUntil(word, value, kHostLimitUs, nullptr) == WaitResult::kReached;
}

void PauseFor(double time_us) {
  const double until_us = NowUs() + time_us;
  while (NowUs() < until_us) Pause();
}

}  // namespace

void FinishProbe(const ClHandles& cl) {
  if (FinishWithin(cl, kFirstRunLimitUs) == WaitResult::kReached) return;
  throw TimeoutError("the device does not end a small kernel");
}

ProbeKernel::Shared::Shared(const ClHandles& handles)
    : cl(handles),
      sync(AllocateSvmFor<SyncBlock>(handles)),
      answer(AllocateSvmFor<Answer>(handles)) {}

ProbeKernel::Shared::~Shared() {
  if (!running) return;
  Store(&sync->control.abort, kAbortByHost);
  try {
    Finish();
  } catch (const TimeoutError&) {  // it is leaked
  } catch (const Error&) {
    Leak();
  }
}

void ProbeKernel::Shared::Finish() {
  try {
    FinishProbe(cl);
  } catch (const TimeoutError&) {  // nobody waits for it again; after other errors the destructor
    running = false;
    Leak();
    throw;
  }
  running = false;
}

void ProbeKernel::Shared::Leak() {
  Store(&sync->control.abort, kAbortByHost);
  static_cast<void>(sync.release());
  static_cast<void>(answer.release());
}

ProbeKernel::ProbeKernel(const ClHandles& cl, cl_program program)
    : cl_(cl),
      kernel_(CreateKernel(cl, program, "hetcomp_probe")),
      shared_(cl),
      sync_(shared_.sync.get()),
      data_(shared_.answer->data) {
  SetPointerArgument(cl, kernel_.get(), 0, sync_);
  SetPointerArgument(cl, kernel_.get(), 1, shared_.answer.get());
  SetIntArgument(cl, kernel_.get(), kWaitArgument, kNoBody);
  SetIntArgument(cl, kernel_.get(), 3, kSignal);
  Enqueue(kGroups, nullptr);
  shared_.Finish();
}

// Lets kernels wait in vain for ever more rounds. Too high a figure would make kernels give up too
// early, so the least of several tries counts: on a busy machine most of them contain a preemption.
double ProbeKernel::RoundUs() {
  for (int rounds = 1;; rounds *= 4) {
    double least_us = WaitInVainUs(rounds, Ending::kFlag);
    for (int n = 1; n < kCalibrationTries && least_us >= kCalibrationUs; ++n) {
      least_us = std::min(least_us, WaitInVainUs(rounds, Ending::kFlag));
    }
    if (least_us >= kCalibrationUs || rounds >= kMaxRounds) return least_us / rounds;
  }
}

bool ProbeKernel::HandShake(int number, double round_us) {
  SetIntArgument(cl_, kernel_.get(), kWaitArgument, kWait);
  Prepare(RoundsFor(kKernelLimitUs, round_us));
  Enqueue(kGroups, nullptr);
  const bool ok = Converse(1000 * number);
  if (!ok) Store(&sync_->control.abort, kAbortByHost);
  shared_.Finish();  // the kernel ends by itself after its poll limit
  base_ += kSignal;
  return ok;
}

bool ProbeKernel::Hear(int number) {
  SetIntArgument(cl_, kernel_.get(), kWaitArgument, kNoWait);
  Prepare(/*rounds=*/1);
  data_[0] = 1000 * number;
  Enqueue(kGroups, nullptr);
  const bool ok = HasAnswered(1000 * number);
  shared_.Finish();
  base_ += kSignal;
  return ok;
}

double ProbeKernel::WaitInVainUs(int rounds, Ending ending) {
  SetIntArgument(cl_, kernel_.get(), kWaitArgument, kWait);
  Prepare(rounds);
  ClEvent event(cl_.api);
  const bool evented = ending == Ending::kPoll || ending == Ending::kSleep;
  Enqueue(1, evented ? event.Receive() : nullptr);
  Expect(Seen(sync_->gpu_epoch.value, base_ + 1), "the flag of a running kernel is not seen");
  const double start_us = NowUs();
  AwaitEnd(ending, event.get());
  const double time_us = NowUs() - start_us;
  shared_.Finish();
  return time_us;
}

ProbeKernel::HandShakeTimes ProbeKernel::TimeHandShake(double round_us) {
  SetIntArgument(cl_, kernel_.get(), kWaitArgument, kWait);
  Prepare(RoundsFor(kKernelLimitUs, round_us));
  HandShakeTimes times;
  const double start_us = NowUs();
  Enqueue(1, nullptr);
  const double enqueued_us = NowUs();
  Expect(Seen(sync_->gpu_epoch.value, base_ + 1), "the flag of a running kernel is not seen");
  times.enqueue_us = enqueued_us - start_us;
  times.launch_us = NowUs() - enqueued_us;
  SetIntArgument(cl_, kernel_.get(), kWaitArgument, kNoBody);
  const double busy_us = NowUs();
  Enqueue(1, nullptr);
  times.enqueue_busy_us = NowUs() - busy_us;
  PauseFor(kPauseUs);
  const double flag_us = NowUs();
  Store(&sync_->cpu_epoch.value, base_ + kWait);
  Expect(Seen(sync_->gpu_epoch.value, base_ + kSignal), "a kernel's answer is not seen");
  times.round_trip_us = NowUs() - flag_us;
  shared_.Finish();
  base_ += kSignal;
  return times;
}

void ProbeKernel::Prepare(int rounds) {
  Store(&sync_->control.cpu_base, base_);
  Store(&sync_->control.gpu_base, base_);
  Store(&sync_->cpu_epoch.value, base_);
  Store(&sync_->gpu_epoch.value, base_);
  Store(&sync_->groups_done.value, 0);
  Store(&sync_->control.abort, kNoAbort);
  Store(&sync_->control.poll_rounds, static_cast<uint32_t>(rounds));
  Store(&sync_->control.run, 1);
}

void ProbeKernel::Enqueue(size_t groups, cl_event* event) {
  const size_t global[] = {groups * kItems, 1};
  const size_t local[] = {kItems, 1};
  shared_.running = true;
  HETCOMP_CL_CHECK(cl_.api->clEnqueueNDRangeKernel(cl_.queue, kernel_.get(), 2, nullptr, global,
                                                   local, 0, nullptr, event));
  HETCOMP_CL_CHECK(cl_.api->clFlush(cl_.queue));
}

bool ProbeKernel::Converse(int32_t payload) {
  if (!Seen(sync_->gpu_epoch.value, base_ + 1)) return false;
  PauseFor(kPauseUs);
  data_[0] = payload;
  Store(&sync_->cpu_epoch.value, base_ + kWait);
  return HasAnswered(payload);
}

bool ProbeKernel::HasAnswered(int32_t payload) {
  if (!Seen(sync_->gpu_epoch.value, base_ + kSignal)) return false;
  for (size_t item = 0; item < kGroups * kItems; ++item) {
    if (data_[1 + item] != payload + static_cast<int32_t>(item)) return false;
  }
  return true;
}

void ProbeKernel::AwaitEnd(Ending ending, cl_event event) {
  WaitResult result = WaitResult::kReached;
  switch (ending) {
    case Ending::kFlag:
      result = SpinUntil(sync_->control.abort, kAbortByKernel, kHostLimitUs, nullptr);
      break;
    case Ending::kPoll:
      result = PollEvent(cl_, event, kHostLimitUs);
      break;
    case Ending::kSleep:
      result = SleepUntilComplete(cl_, event, kHostLimitUs);
      break;
    case Ending::kFinish:  // the kernel ends by itself
      HETCOMP_CL_CHECK(cl_.api->clFinish(cl_.queue));
      break;
  }
  Expect(result == WaitResult::kReached, "a kernel that gives up is not seen to end");
}

void ProbeKernel::Expect(bool ok, const char* what) {
  if (ok) return;
  Store(&sync_->control.abort, kAbortByHost);
  shared_.Finish();
  throw Error(ErrorKind::kDevice, what);
}

}  // namespace hetcomp
