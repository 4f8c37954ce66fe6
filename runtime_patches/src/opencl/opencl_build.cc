#include "opencl/opencl_build.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace hetcomp {
namespace {

constexpr size_t kMaxLogBytes = 2000;
constexpr size_t kMaxBinaryBytes = size_t{64} << 20;

std::string BuildLog(const ClHandles& cl, cl_program program) {
  size_t size = 0;
  if (cl.api->clGetProgramBuildInfo(program, cl.device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &size) !=
          CL_SUCCESS ||
      size > kMaxBinaryBytes) {
    return "(no build log)";
  }
  std::string log(size, '\0');
  cl.api->clGetProgramBuildInfo(program, cl.device, CL_PROGRAM_BUILD_LOG, size, log.data(),
                                nullptr);
  return Printable(log.substr(0, std::min(log.find('\0'), kMaxLogBytes)));
}

}  // namespace

cl_program BuildProgram(const ClHandles& cl, MemoryKind memory, const AtomicsSpelling& spelling,
                        std::string_view source) {
  const char* pieces[] = {MemoryMacros(memory), spelling.macros, kPrologue, source.data()};
  const size_t lengths[] = {std::strlen(pieces[0]), std::strlen(spelling.macros),
                            std::strlen(kPrologue), source.size()};
  const cl_uint count = source.empty() ? 3 : 4;
  cl_program program = nullptr;
  HETCOMP_CL_CREATE(program, cl.api->clCreateProgramWithSource, cl.context, count, pieces, lengths);
  const cl_int status =
      cl.api->clBuildProgram(program, 1, &cl.device, spelling.build_options, nullptr, nullptr);
  if (status == CL_SUCCESS) return program;
  const std::string log = BuildLog(cl, program);
  cl.api->clReleaseProgram(program);
  throw Error(ErrorKind::kDevice, std::string("clBuildProgram (") + spelling.build_options +
                                      "): " + ClCodeName(status) + "\n" + log);
}

cl_program LoadProgram(const ClHandles& cl, const AtomicsSpelling& spelling,
                       std::string_view binary) {
  if (binary.empty()) return nullptr;
  const auto* data = reinterpret_cast<const unsigned char*>(binary.data());
  const size_t size = binary.size();
  cl_int taken = CL_SUCCESS;
  cl_int status = CL_SUCCESS;
  cl_program program =
      cl.api->clCreateProgramWithBinary(cl.context, 1, &cl.device, &size, &data, &taken, &status);
  if (program == nullptr || status != CL_SUCCESS) return nullptr;
  status = cl.api->clBuildProgram(program, 1, &cl.device, spelling.build_options, nullptr, nullptr);
  if (taken == CL_SUCCESS && status == CL_SUCCESS) return program;
  cl.api->clReleaseProgram(program);
  return nullptr;
}

std::string ProgramBinary(const ClHandles& cl, cl_program program) {
  size_t size = 0;
  size_t written = 0;  // one size a device, and the context has one device
  if (cl.api->clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, &written) !=
          CL_SUCCESS ||
      written != sizeof(size) || size > kMaxBinaryBytes) {
    return {};
  }
  std::string binary(size, '\0');
  char* data = binary.data();
  const cl_int status =
      cl.api->clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(data), &data, nullptr);
  return status == CL_SUCCESS ? binary : std::string();
}

KernelOwner CreateKernel(const ClHandles& cl, cl_program program, const std::string& name) {
  cl_kernel kernel = nullptr;
  cl_int status = CL_SUCCESS;
  kernel = cl.api->clCreateKernel(program, name.c_str(), &status);
  CheckCreated(kernel, status, ("clCreateKernel(" + name + ")").c_str(), __FILE__, __LINE__);
  return KernelOwner(kernel, ReleaseKernel{cl.api});
}

void SetIntArgument(const ClHandles& cl, cl_kernel kernel, cl_uint index, int value) {
  HETCOMP_CL_CHECK(cl.api->clSetKernelArg(kernel, index, sizeof(value), &value));
}

void SetPointerArgument(const ClHandles& cl, cl_kernel kernel, cl_uint index, const void* pointer) {
  HETCOMP_CL_CHECK(cl.api->clSetKernelArgSVMPointer(kernel, index, pointer));
}

void* ReserveSvm(const ClHandles& cl, size_t bytes) {
  constexpr cl_bitfield kFlags =
      CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS;
  constexpr cl_uint kAlignment = 128;  // more is refused by every runtime that was tried
  void* memory = cl.api->clSVMAlloc(cl.context, kFlags, bytes, kAlignment);
  if (memory == nullptr || reinterpret_cast<uintptr_t>(memory) % kAlignment != 0) {
    throw Error(ErrorKind::kDevice, "clSVMAlloc of " + std::to_string(bytes) + " bytes failed");
  }
  return memory;
}

void* AllocateSvm(const ClHandles& cl, size_t bytes) {
  void* memory = ReserveSvm(cl, bytes);
  std::memset(memory, 0, bytes);
  return memory;
}

}  // namespace hetcomp
