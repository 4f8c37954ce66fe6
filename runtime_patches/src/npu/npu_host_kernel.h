// A region in this machine's memory, operator by operator: what `reference` and `amx` share.
#ifndef HETCOMP_NPU_HOST_KERNEL_H_
#define HETCOMP_NPU_HOST_KERNEL_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "npu/npu_driver.h"
#include "npu/npu_values.h"

namespace hetcomp {

// What may be read behind the end of an operand that is no constant: the rest of a tile's row.
constexpr size_t kHostSlack = 64;

// One operator on memory whose addresses stay, and whose operands CheckNpuCore has accepted.
// Constants are read only, see CheckTable.
struct HostCall {
  std::shared_ptr<const NpuOperator> operation;
  std::vector<NpuArray> operands;
  std::vector<bool> constant;  // by operand
  char* output = nullptr;
  size_t output_bytes = 0;
};

class HostStep {
 public:
  virtual ~HostStep() = default;
  virtual void Run() = 0;
};

// Throws Error(kDevice) where it takes the operator not.
using HostStepMaker = std::function<std::unique_ptr<HostStep>(const HostCall&)>;

std::unique_ptr<NpuKernel> MakeHostKernel(const NpuRegion& region, const HostStepMaker& make_step);

// By the operator's definition, in portable C++.
std::unique_ptr<HostStep> MakePlainStep(const HostCall& call);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_HOST_KERNEL_H_
