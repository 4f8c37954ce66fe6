// Tests: an NPU driver that fails in a given way, so that the way out of it can be seen.
#ifndef HETCOMP_NPU_FAULT_H_
#define HETCOMP_NPU_FAULT_H_

#include <memory>

#include "doors/options.h"
#include "npu/npu_driver.h"

namespace hetcomp {

// `driver` with the fault.
std::unique_ptr<NpuDriver> WithFault(NpuDriver* driver, NpuFault fault);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_FAULT_H_
