// Which of the model's kernels this CPU can execute.
#ifndef HETCOMP_CPU_FEATURES_H_
#define HETCOMP_CPU_FEATURES_H_

#include <cstddef>
#include <string>
#include <vector>

namespace hetcomp {

// A version of the CPU kernels, with the features that it needs, by Linux's names.
struct CpuVersion {
  std::string name;
  std::vector<std::string> needs;
};

// The first version that the CPU and the system can execute. Throws Error where they lack a feature
// for each, for an instruction of it would end the process.
size_t ChooseCpuVersion(const std::vector<CpuVersion>& versions);

}  // namespace hetcomp

#endif  // HETCOMP_CPU_FEATURES_H_
