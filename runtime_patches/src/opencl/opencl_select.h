// Choice of the OpenCL device to co-execute with.
#ifndef HETCOMP_OPENCL_SELECT_H_
#define HETCOMP_OPENCL_SELECT_H_

#include <string>

#include "opencl/opencl_api.h"

namespace hetcomp {

struct DeviceChoice {
  cl_device_id device = nullptr;
  std::string name;
  std::string version;
  std::string driver;  // its version
  std::string platform;
  bool is_cpu = false;
  bool opencl_2 = false;
  bool fine = false;    // fine-grained SVM with atomics
  bool coarse = false;  // coarse-grained SVM
};

// The first GPU, else accelerator, else CPU device; of equals the one that shares memory best.
// Throws Error(kDevice) if there is none.
DeviceChoice SelectDevice(const OpenClApi& api);

// The `index`-th of the one-unit sub-devices of a CPU device, or `device` if it cannot be divided.
cl_device_id OneUnitSubDevice(const OpenClApi& api, cl_device_id device, size_t index);

// Compute units of `device`, at least 1.
size_t ComputeUnits(const OpenClApi& api, cl_device_id device);

}  // namespace hetcomp

#endif  // HETCOMP_OPENCL_SELECT_H_
