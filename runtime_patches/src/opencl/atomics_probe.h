// Finds out at start-up how CPU and device can wait for each other, and the spelling of atomics
// with which they really see each other's flags.
#ifndef HETCOMP_ATOMICS_PROBE_H_
#define HETCOMP_ATOMICS_PROBE_H_

#include "lanes/tier.h"
#include "opencl/opencl_build.h"
#include "opencl/opencl_select.h"

namespace hetcomp {

struct ProbeResult {
  const AtomicsSpelling* spelling = nullptr;
  double poll_round_us = 0.0;  // of HETCOMP_POLLS_PER_ROUND polls in a waiting kernel; 0 = unknown
  TierProbe tiers;
};

// Tries the spellings in turn and proves one by bounded two-way hand-shakes with a running kernel;
// where none works so, one whose flags the CPU sees; else one that builds. Throws Error(kDevice) if
// none does. The queue must be idle; it is idle afterwards. The calling thread spins, so it must
// not share its core with the device's worker.
ProbeResult ProbeDevice(const ClHandles& cl, const DeviceChoice& device);

// Runs an empty kernel to its end: makes a driver start its threads, with the caller's mask.
void RunNothing(const ClHandles& cl);

}  // namespace hetcomp

#endif  // HETCOMP_ATOMICS_PROBE_H_
