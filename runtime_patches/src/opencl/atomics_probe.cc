#include "opencl/atomics_probe.h"

#include <string>
#include <string_view>

#include "base/error.h"
#include "opencl/probe_kernel.h"

namespace hetcomp {
namespace {

constexpr int kHandShakes = 4;
// A kernel that polls more slowly is no good at waiting.
constexpr double kMaxPollUs = 20.0;
constexpr double kPollsPerRound = 1024.0;
constexpr size_t kMaxReasonBytes = 300;

// Poll cost if the spelling works both ways; throws Error(kDevice) if not.
double ProveBothWays(const ClHandles& cl, cl_program program) {
  ProbeKernel probe(cl, program);
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
  ProbeKernel probe(cl, program);
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
      program = BuildProgram(cl, MemoryKind::kFine, spelling, {});
      result->poll_round_us = prove(cl, program);
      result->spelling = &spelling;
      cl.api->clReleaseProgram(program);
      return "";
    } catch (const TimeoutError&) {  // nothing runs on this device any more
      throw;
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
  cl_program made = nullptr;
  HETCOMP_CL_CREATE(made, cl.api->clCreateProgramWithSource, cl.context, 1, &text, &length);
  const ProgramOwner program(made, ReleaseProgram{cl.api});
  HETCOMP_CL_CHECK(cl.api->clBuildProgram(made, 1, &cl.device, "", nullptr, nullptr));
  const KernelOwner kernel = CreateKernel(cl, made, "hetcomp_nothing");
  const size_t one = 1;
  HETCOMP_CL_CHECK(cl.api->clEnqueueNDRangeKernel(cl.queue, kernel.get(), 1, nullptr, &one, &one, 0,
                                                  nullptr, nullptr));
  FinishProbe(cl);
}

ProbeResult ProbeDevice(const ClHandles& cl, const DeviceChoice& device) {
  ProbeResult result;
  TierProbe& tiers = result.tiers;
  if (!device.coarse) tiers.no_coarse = "the device has no shared virtual memory";
  if (device.fine) {
    tiers.no_ahead = TrySpellings(cl, ProveBothWays, &result);
    if (tiers.no_ahead.empty()) return result;
    tiers.no_flags = TrySpellings(cl, ProveFlags, &result);
    if (tiers.no_flags.empty()) return result;
  } else {
    tiers.no_fine = "the device has no fine-grained SVM with atomics";
    tiers.no_ahead = tiers.no_flags = tiers.no_fine;
  }
  const std::string why = TrySpellings(cl, ProveNothing, &result);
  if (!why.empty()) throw Error(ErrorKind::kDevice, why);
  return result;
}

}  // namespace hetcomp
