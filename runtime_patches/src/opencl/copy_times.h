// Measures copies between the CPU's memory and memory that a device uses.
#ifndef HETCOMP_COPY_TIMES_H_
#define HETCOMP_COPY_TIMES_H_

#include <cstddef>
#include <string>

#include "opencl/opencl_device.h"

namespace hetcomp {

// JSON: for each kind of memory that the device has `reps` microseconds of copying the same `bytes`
// to it and back; see README.md. Call with the queue's turn and the queue idle. Throws
// Error(kDevice); then memory that the device may still be using is leaked.
std::string CopyTimesJson(const OpenClDevice& device, size_t bytes, int reps, double timeout_us);

}  // namespace hetcomp

#endif  // HETCOMP_COPY_TIMES_H_
