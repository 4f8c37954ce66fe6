// Whether this CPU can execute the model's kernels.
#ifndef HETCOMP_CPU_FEATURES_H_
#define HETCOMP_CPU_FEATURES_H_

#include <string>
#include <vector>

namespace hetcomp {

// Throws Error if the CPU or the system lacks one of the features, given by Linux's names: an
// instruction of it would end the process.
void RequireCpuFeatures(const std::vector<std::string>& needs);

}  // namespace hetcomp

#endif  // HETCOMP_CPU_FEATURES_H_
