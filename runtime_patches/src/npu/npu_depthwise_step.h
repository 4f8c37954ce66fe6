// Depthwise convolutions beside an engine that multiplies tiles, by the CPU's vectors.
#ifndef HETCOMP_NPU_DEPTHWISE_STEP_H_
#define HETCOMP_NPU_DEPTHWISE_STEP_H_

#include <memory>

#include "npu/npu_host_kernel.h"

namespace hetcomp {

// Null where the operator is no depthwise convolution of a map that is computed.
std::unique_ptr<HostStep> MakeDepthwiseStep(const HostCall& call);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_DEPTHWISE_STEP_H_
