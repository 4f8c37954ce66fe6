#include "atomics_probe.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <string_view>

#include "cl_events.h"
#include "clock.h"
#include "error.h"
#include "sync.h"

namespace hetcomp {
namespace {

constexpr int kHandShakes = 4;
constexpr size_t kGroups = 3;
constexpr size_t kItems = 8;  // work-items of a group, whose stores one of them publishes
constexpr double kKernelLimitUs = 1e6;
constexpr double kHostLimitUs = 2e6;
constexpr double kFirstRunLimitUs = 60e6;  // with all that a driver does at its first kernel
// A kernel that polls more slowly is no good at waiting.
constexpr double kMaxPollUs = 20.0;
constexpr double kPollsPerRound = 1024.0;
constexpr double kCalibrationUs = 2000.0;
constexpr int kCalibrationTries = 4;
constexpr int kMaxRounds = 1 << 24;
constexpr int kWait = 1;  // the hand-shake waits for the CPU's first step
constexpr size_t kMaxReasonBytes = 300;
constexpr int kSignal = 2;  // and signals as the second step; as the first it says that it runs

void Finish(const ClHandles& cl) {
  if (FinishWithin(cl, kFirstRunLimitUs) == WaitResult::kReached) return;
  throw Error(ErrorKind::kDevice, "the device does not end a small kernel");
}

// One probe kernel with its shared memory.
class Probe {
 public:
  Probe(const ClHandles& cl, cl_program program)
      : cl_(cl), kernel_(CreateKernel(cl, program, "hetcomp_probe")) {
    sync_ = static_cast<SyncBlock*>(AllocateSvm(cl, sizeof(SyncBlock)));
    data_ = static_cast<volatile int32_t*>(AllocateSvm(cl, 128));
    SetPointerArgument(cl, kernel_, 0, sync_);
    SetPointerArgument(cl, kernel_, 1, const_cast<const int32_t*>(data_));
    SetIntArgument(cl, kernel_, 3, kSignal);
  }

  ~Probe() {
    cl_.api->clSVMFree(cl_.context, sync_);
    cl_.api->clSVMFree(cl_.context, const_cast<int32_t*>(data_));
    cl_.api->clReleaseKernel(kernel_);
  }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  // Compilation at first execution must not count as waiting.
  void WarmUp() {
    SetIntArgument(cl_, kernel_, 2, -1);
    Launch();
    Finish(cl_);
    SetIntArgument(cl_, kernel_, 2, kWait);
  }

  // Time of one round of polls: lets kernels wait in vain for ever more rounds. Too high a figure
  // would make kernels give up too early, so the least of several tries counts: on a busy machine
  // most of them contain a preemption.
  double RoundUs() {
    for (int rounds = 1;; rounds *= 4) {
      double least_us = WaitInVainUs(rounds);
      for (int n = 1; n < kCalibrationTries && least_us >= kCalibrationUs; ++n) {
        least_us = std::min(least_us, WaitInVainUs(rounds));
      }
      if (least_us >= kCalibrationUs || rounds >= kMaxRounds) return least_us / rounds;
    }
  }

  bool HandShake(int number, double round_us) {
    Prepare(static_cast<int>(std::min<double>(kMaxRounds, kKernelLimitUs / round_us)) + 1);
    Launch();
    const bool ok = Converse(1000 * number);
    if (!ok) Store(&sync_->control.abort, kAbortByHost);
    Finish(cl_);  // the kernel ends by itself after its poll limit
    base_ += kSignal;
    return ok;
  }

  // Whether the CPU sees the flag that a kernel raises at its end, and what it has written.
  bool Hear(int number) {
    SetIntArgument(cl_, kernel_, 2, 0);
    Prepare(/*rounds=*/1);
    data_[0] = 1000 * number;
    Launch();
    const bool ok = HasAnswered(1000 * number);
    Finish(cl_);
    base_ += kSignal;
    return ok;
  }

 private:
  void Prepare(int rounds) {
    Store(&sync_->control.cpu_base, base_);
    Store(&sync_->control.gpu_base, base_);
    Store(&sync_->cpu_epoch.value, base_);
    Store(&sync_->gpu_epoch.value, base_);
    Store(&sync_->groups_done.value, 0);
    Store(&sync_->control.abort, kNoAbort);
    Store(&sync_->control.poll_rounds, static_cast<uint32_t>(rounds));
    Store(&sync_->control.run, 1);
  }

  // From the kernel's flag that it runs to its flag that it gives up: without dispatch.
  double WaitInVainUs(int rounds) {
    Prepare(rounds);
    Launch(1);
    const bool began = Seen(sync_->gpu_epoch.value, base_ + 1);
    const double start_us = NowUs();
    const bool ended = began && Seen(sync_->control.abort, kAbortByKernel);
    const double time_us = NowUs() - start_us;
    Finish(cl_);
    if (!ended) throw Error(ErrorKind::kDevice, "flags of a running kernel are not seen");
    return time_us;
  }

  static bool Seen(const std::atomic<int32_t>& word, uint32_t value) {
    return SpinUntil(word, value, kHostLimitUs, nullptr) == WaitResult::kReached;
  }

  bool Converse(int32_t payload) {
    if (!Seen(sync_->gpu_epoch.value, base_ + 1)) return false;
    const double pause_until_us = NowUs() + 20.0;  // the kernel shall be inside its loop by now
    while (NowUs() < pause_until_us) Pause();
    data_[0] = payload;
    Store(&sync_->cpu_epoch.value, base_ + kWait);
    return HasAnswered(payload);
  }

  bool HasAnswered(int32_t payload) {
    if (!Seen(sync_->gpu_epoch.value, base_ + kSignal)) return false;
    for (size_t item = 0; item < kGroups * kItems; ++item) {
      if (data_[1 + item] != payload + static_cast<int32_t>(item)) return false;
    }
    return true;
  }

  void Launch(size_t groups = kGroups) {
    const size_t global[] = {groups * kItems, 1};
    const size_t local[] = {kItems, 1};
    HETCOMP_CL_CHECK(cl_.api->clEnqueueNDRangeKernel(cl_.queue, kernel_, 2, nullptr, global, local,
                                                     0, nullptr, nullptr));
    HETCOMP_CL_CHECK(cl_.api->clFlush(cl_.queue));
  }

  const ClHandles& cl_;
  cl_kernel kernel_;
  SyncBlock* sync_;
  volatile int32_t* data_;
  uint32_t base_ = 0;
};

// Poll cost if the spelling works both ways; throws Error(kDevice) if not.
double ProveBothWays(const ClHandles& cl, cl_program program) {
  Probe probe(cl, program);
  probe.WarmUp();
  const double round_us = probe.RoundUs();
  if (round_us > kMaxPollUs * kPollsPerRound) {
    throw Error(ErrorKind::kDevice, "a poll of a waiting kernel takes " +
                                        std::to_string(round_us / kPollsPerRound) + " us");
  }
  for (int number = 1; number <= kHandShakes; ++number) {
    if (!probe.HandShake(number, round_us)) {
      throw Error(ErrorKind::kDevice, "hand-shake " + std::to_string(number) + " failed");
    }
  }
  return round_us;
}

// The cost of polls stays unknown: no kernel will wait. Throws Error(kDevice).
double ProveFlags(const ClHandles& cl, cl_program program) {
  Probe probe(cl, program);
  probe.WarmUp();
  for (int number = 1; number <= kHandShakes; ++number) {
    if (!probe.Hear(number)) throw Error(ErrorKind::kDevice, "flags of a kernel are not seen");
  }
  return 0.0;
}

double ProveNothing(const ClHandles& /*cl*/, cl_program /*program*/) { return 0.0; }

// Sets the first spelling that builds and that `prove` accepts; returns why there is none, or "".
std::string TrySpellings(const ClHandles& cl, double (*prove)(const ClHandles&, cl_program),
                         ProbeResult* result) {
  std::string failures;
  for (const AtomicsSpelling& spelling : kAtomicsSpellings) {
    cl_program program = nullptr;
    try {
      program = BuildProgram(cl, spelling, {});
      result->poll_round_us = prove(cl, program);
      result->spelling = &spelling;
      cl.api->clReleaseProgram(program);
      return "";
    } catch (const Error& error) {
      if (program != nullptr) cl.api->clReleaseProgram(program);
      failures += std::string("\n  ") + spelling.name + ": " +
                  std::string(error.what()).substr(0, kMaxReasonBytes);
    }
  }
  return "no spelling of OpenCL atomics works:" + failures;
}

}  // namespace

void RunNothing(const ClHandles& cl) {
  constexpr std::string_view kNothing = "__kernel void hetcomp_nothing(void) {}\n";
  const char* text = kNothing.data();
  const size_t length = kNothing.size();
  cl_program program = nullptr;
  HETCOMP_CL_CREATE(program, cl.api->clCreateProgramWithSource, cl.context, 1, &text, &length);
  HETCOMP_CL_CHECK(cl.api->clBuildProgram(program, 1, &cl.device, "", nullptr, nullptr));
  cl_kernel kernel = CreateKernel(cl, program, "hetcomp_nothing");
  const size_t one = 1;
  HETCOMP_CL_CHECK(cl.api->clEnqueueNDRangeKernel(cl.queue, kernel, 1, nullptr, &one, &one, 0,
                                                  nullptr, nullptr));
  Finish(cl);
  cl.api->clReleaseKernel(kernel);
  cl.api->clReleaseProgram(program);
}

ProbeResult ProbeDevice(const ClHandles& cl) {
  ProbeResult result;
  if (cl.svm_atomics) {
    result.tiers.no_ahead = TrySpellings(cl, ProveBothWays, &result);
    if (result.tiers.no_ahead.empty()) return result;
    result.tiers.no_flags = TrySpellings(cl, ProveFlags, &result);
    if (result.tiers.no_flags.empty()) return result;
  } else {
    result.tiers.no_ahead = result.tiers.no_flags = "the device has no atomics on shared memory";
  }
  const std::string why = TrySpellings(cl, ProveNothing, &result);
  if (!why.empty()) throw Error(ErrorKind::kDevice, why);
  return result;
}

}  // namespace hetcomp
