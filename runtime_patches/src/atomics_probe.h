// Finds the spelling of atomics with which CPU and device really see each other's flags.
#ifndef HETCOMP_ATOMICS_PROBE_H_
#define HETCOMP_ATOMICS_PROBE_H_

#include "opencl_build.h"

namespace hetcomp {

struct ProbeResult {
  const AtomicsSpelling* spelling = nullptr;
  double poll_round_us = 0.0;  // cost of HETCOMP_POLLS_PER_ROUND polls in a waiting kernel
};

// Tries the spellings in turn and proves one by bounded two-way hand-shakes with a running kernel.
// Throws Error(kDevice) if none works. The queue must be idle; it is idle afterwards. The calling
// thread spins, so it must not share its core with the device's worker.
ProbeResult ProbeAtomics(const ClHandles& cl);

// Runs an empty kernel to its end: makes a driver start its threads, with the caller's mask.
void RunNothing(const ClHandles& cl);

}  // namespace hetcomp

#endif  // HETCOMP_ATOMICS_PROBE_H_
