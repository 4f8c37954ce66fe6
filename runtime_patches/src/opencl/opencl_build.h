// Handles of one OpenCL device and the building of programs for it.
#ifndef HETCOMP_OPENCL_BUILD_H_
#define HETCOMP_OPENCL_BUILD_H_

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "lanes/tier.h"
#include "opencl/opencl_api.h"
#include "opencl/prologue.h"

namespace hetcomp {

// Borrowed: OpenClDevice owns them and never releases them.
struct ClHandles {
  const OpenClApi* api = nullptr;
  cl_device_id device = nullptr;
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;
};

// Owners: an error half-way leaves nothing behind.
struct ReleaseKernel {
  const OpenClApi* api;
  void operator()(cl_kernel kernel) const { api->clReleaseKernel(kernel); }
};
using KernelOwner = std::unique_ptr<std::remove_pointer_t<cl_kernel>, ReleaseKernel>;

struct ReleaseProgram {
  const OpenClApi* api;
  void operator()(cl_program program) const { api->clReleaseProgram(program); }
};
using ProgramOwner = std::unique_ptr<std::remove_pointer_t<cl_program>, ReleaseProgram>;

struct FreeSvm {
  const OpenClApi* api;
  cl_context context;
  void operator()(void* memory) const { api->clSVMFree(context, memory); }
};
template <typename T>
using SvmOwner = std::unique_ptr<T, FreeSvm>;

// Builds memory + spelling + prologue + source, see MemoryMacros. The caller owns the program.
// Throws Error(kDevice) with the start of the build log.
cl_program BuildProgram(const ClHandles& cl, MemoryKind memory, const AtomicsSpelling& spelling,
                        std::string_view source);

// A program from its binary; null where the driver does not take it. The caller owns it.
cl_program LoadProgram(const ClHandles& cl, const AtomicsSpelling& spelling,
                       std::string_view binary);

// The binary of a program that has been built; empty where the driver gives none.
std::string ProgramBinary(const ClHandles& cl, cl_program program);

// A kernel of that name. Throws Error(kDevice).
KernelOwner CreateKernel(const ClHandles& cl, cl_program program, const std::string& name);

void SetIntArgument(const ClHandles& cl, cl_kernel kernel, cl_uint index, int value);
void SetPointerArgument(const ClHandles& cl, cl_kernel kernel, cl_uint index, const void* pointer);

// Fine-grained SVM with atomics, 128-byte aligned, with any contents. Throws Error(kDevice) when
// refused.
void* ReserveSvm(const ClHandles& cl, size_t bytes);

// The same, zeroed.
void* AllocateSvm(const ClHandles& cl, size_t bytes);

// The same for one T, and with an owner.
template <typename T>
SvmOwner<T> AllocateSvmFor(const ClHandles& cl) {
  return SvmOwner<T>(static_cast<T*>(AllocateSvm(cl, sizeof(T))), FreeSvm{cl.api, cl.context});
}

}  // namespace hetcomp

#endif  // HETCOMP_OPENCL_BUILD_H_
