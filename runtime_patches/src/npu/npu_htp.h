// Driver `htp`: Qualcomm's Hexagon tensor processor, by ONNX Runtime with the provider QNN.
#ifndef HETCOMP_NPU_HTP_H_
#define HETCOMP_NPU_HTP_H_

#include <string>

#include "npu/npu_driver.h"

namespace hetcomp {

// Where the vendor's libraries are; "" = not known.
struct HtpLibraries {
  std::string onnxruntime;  // libonnxruntime.so
  std::string qnn;          // folder of libonnxruntime_providers_qnn.so and libQnnHtp.so
};

// Runs contexts that were compiled with the model. On x86-64 the vendor's library emulates the
// processor. What has been loaded stays, for all models of this file.
NpuDriver* HtpNpu();

// Call before the driver is asked for anything; `timeout_ms` is the longest wait for an answer.
// Loading the libraries and opening a region may take 20 times that, and at least a second.
void UseHtpLibraries(const HtpLibraries& libraries, double timeout_ms);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_HTP_H_
