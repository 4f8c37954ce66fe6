// Handles of one OpenCL device and the building of programs for it.
#ifndef HETCOMP_OPENCL_BUILD_H_
#define HETCOMP_OPENCL_BUILD_H_

#include <string>
#include <string_view>
#include <vector>

#include "opencl_api.h"
#include "prologue.h"

namespace hetcomp {

// Borrowed: OpenClDevice owns them and never releases them.
struct ClHandles {
  const OpenClApi* api = nullptr;
  cl_device_id device = nullptr;
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;
  bool svm_atomics = false;  // whether fine-grained SVM offers them
};

// Builds spelling + prologue + source. The caller owns the program. Throws Error(kDevice) with the
// start of the build log.
cl_program BuildProgram(const ClHandles& cl, const AtomicsSpelling& spelling,
                        std::string_view source);

// A program from its binary; null where the driver does not take it. The caller owns it.
cl_program LoadProgram(const ClHandles& cl, const AtomicsSpelling& spelling,
                       std::string_view binary);

// The binary of a program that has been built; empty where the driver gives none.
std::string ProgramBinary(const ClHandles& cl, cl_program program);

// A kernel of that name; the caller owns it.
cl_kernel CreateKernel(const ClHandles& cl, cl_program program, const std::string& name);

void SetIntArgument(const ClHandles& cl, cl_kernel kernel, cl_uint index, int value);
void SetPointerArgument(const ClHandles& cl, cl_kernel kernel, cl_uint index, const void* pointer);

// Fine-grained SVM, with atomics where offered, zeroed, 128-byte aligned. Throws Error(kDevice)
// when refused.
void* AllocateSvm(const ClHandles& cl, size_t bytes);

}  // namespace hetcomp

#endif  // HETCOMP_OPENCL_BUILD_H_
