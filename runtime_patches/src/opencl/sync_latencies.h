// Measures what dispatching a kernel and waiting for it cost.
#ifndef HETCOMP_SYNC_LATENCIES_H_
#define HETCOMP_SYNC_LATENCIES_H_

#include <string>

#include "opencl/opencl_build.h"

namespace hetcomp {

// JSON lists of `reps` microseconds each, all kinds by turns; see README.md. `program` has the
// prologue's kernels, `round_us` is the cost of a round of polls. Call with the
// queue's turn and the queue idle. Throws Error(kDevice).
std::string SyncLatenciesJson(const ClHandles& cl, cl_program program, double round_us, int reps);

}  // namespace hetcomp

#endif  // HETCOMP_SYNC_LATENCIES_H_
