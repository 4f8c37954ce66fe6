// The part of OpenCL that the runtime uses, declared here and bound by dlopen: neither headers nor
// an import library of an OpenCL SDK are needed to build, and model.so loads where there is none.
#ifndef HETCOMP_OPENCL_API_H_
#define HETCOMP_OPENCL_API_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace hetcomp {

using cl_int = int32_t;
using cl_uint = uint32_t;
using cl_bitfield = uint64_t;
using cl_bool = cl_uint;
using cl_platform_id = struct _cl_platform_id*;
using cl_device_id = struct _cl_device_id*;
using cl_context = struct _cl_context*;
using cl_command_queue = struct _cl_command_queue*;
using cl_program = struct _cl_program*;
using cl_kernel = struct _cl_kernel*;
using cl_mem = struct _cl_mem*;
using cl_event = struct _cl_event*;

constexpr cl_int CL_SUCCESS = 0;
constexpr cl_int CL_OUT_OF_RESOURCES = -5;
constexpr cl_bitfield CL_DEVICE_TYPE_CPU = 1 << 1;
constexpr cl_bitfield CL_DEVICE_TYPE_GPU = 1 << 2;
constexpr cl_bitfield CL_DEVICE_TYPE_ALL = 0xFFFFFFFF;
constexpr cl_uint CL_PLATFORM_NAME = 0x0902;
constexpr cl_uint CL_DEVICE_TYPE = 0x1000;
constexpr cl_uint CL_DEVICE_MAX_COMPUTE_UNITS = 0x1002;
constexpr cl_uint CL_DEVICE_NAME = 0x102B;
constexpr cl_uint CL_DEVICE_VERSION = 0x102F;
constexpr cl_uint CL_DRIVER_VERSION = 0x102D;
constexpr cl_uint CL_DEVICE_SVM_CAPABILITIES = 0x1053;
constexpr cl_bitfield CL_DEVICE_SVM_COARSE_GRAIN_BUFFER = 1 << 0;
constexpr cl_bitfield CL_DEVICE_SVM_FINE_GRAIN_BUFFER = 1 << 1;
constexpr cl_bitfield CL_DEVICE_SVM_ATOMICS = 1 << 3;
constexpr cl_bitfield CL_MEM_READ_WRITE = 1 << 0;
constexpr cl_bitfield CL_MEM_COPY_HOST_PTR = 1 << 5;
constexpr cl_bitfield CL_MAP_READ = 1 << 0;
constexpr cl_bitfield CL_MAP_WRITE = 1 << 1;
constexpr cl_bool CL_FALSE = 0;
constexpr cl_bitfield CL_MEM_SVM_FINE_GRAIN_BUFFER = 1 << 10;
constexpr cl_bitfield CL_MEM_SVM_ATOMICS = 1 << 11;
constexpr intptr_t CL_DEVICE_PARTITION_EQUALLY = 0x1086;
constexpr cl_uint CL_PROGRAM_BINARY_SIZES = 0x1165;
constexpr cl_uint CL_PROGRAM_BINARIES = 0x1166;
constexpr cl_uint CL_PROGRAM_BUILD_LOG = 0x1183;
constexpr cl_uint CL_KERNEL_WORK_GROUP_SIZE = 0x11B0;
constexpr cl_uint CL_EVENT_COMMAND_EXECUTION_STATUS = 0x11D3;
constexpr cl_int CL_COMPLETE = 0;

using ContextNotify = void (*)(const char*, const void*, size_t, void*);
using EventNotify = void (*)(cl_event, cl_int, void*);
using ProgramNotify = void (*)(cl_program, void*);

// X(result, name, parameters)
#define HETCOMP_OPENCL_1_FUNCTIONS(X)                                                              \
  X(cl_int, clGetPlatformIDs, (cl_uint, cl_platform_id*, cl_uint*))                                \
  X(cl_int, clGetPlatformInfo, (cl_platform_id, cl_uint, size_t, void*, size_t*))                  \
  X(cl_int, clGetDeviceIDs, (cl_platform_id, cl_bitfield, cl_uint, cl_device_id*, cl_uint*))       \
  X(cl_int, clGetDeviceInfo, (cl_device_id, cl_uint, size_t, void*, size_t*))                      \
  X(cl_int, clCreateSubDevices, (cl_device_id, const intptr_t*, cl_uint, cl_device_id*, cl_uint*)) \
  X(cl_context, clCreateContext,                                                                   \
    (const intptr_t*, cl_uint, const cl_device_id*, ContextNotify, void*, cl_int*))                \
  X(cl_command_queue, clCreateCommandQueue, (cl_context, cl_device_id, cl_bitfield, cl_int*))      \
  X(cl_program, clCreateProgramWithSource,                                                         \
    (cl_context, cl_uint, const char**, const size_t*, cl_int*))                                   \
  X(cl_program, clCreateProgramWithBinary,                                                         \
    (cl_context, cl_uint, const cl_device_id*, const size_t*, const unsigned char**, cl_int*,      \
     cl_int*))                                                                                     \
  X(cl_int, clBuildProgram,                                                                        \
    (cl_program, cl_uint, const cl_device_id*, const char*, ProgramNotify, void*))                 \
  X(cl_int, clGetProgramInfo, (cl_program, cl_uint, size_t, void*, size_t*))                       \
  X(cl_int, clGetProgramBuildInfo, (cl_program, cl_device_id, cl_uint, size_t, void*, size_t*))    \
  X(cl_int, clReleaseProgram, (cl_program))                                                        \
  X(cl_kernel, clCreateKernel, (cl_program, const char*, cl_int*))                                 \
  X(cl_int, clReleaseKernel, (cl_kernel))                                                          \
  X(cl_int, clGetKernelWorkGroupInfo, (cl_kernel, cl_device_id, cl_uint, size_t, void*, size_t*))  \
  X(cl_int, clSetKernelArg, (cl_kernel, cl_uint, size_t, const void*))                             \
  X(cl_mem, clCreateBuffer, (cl_context, cl_bitfield, size_t, void*, cl_int*))                     \
  X(cl_int, clReleaseMemObject, (cl_mem))                                                          \
  X(cl_int, clEnqueueReadBufferRect,                                                               \
    (cl_command_queue, cl_mem, cl_bool, const size_t*, const size_t*, const size_t*, size_t,       \
     size_t, size_t, size_t, void*, cl_uint, const cl_event*, cl_event*))                          \
  X(cl_int, clEnqueueWriteBufferRect,                                                              \
    (cl_command_queue, cl_mem, cl_bool, const size_t*, const size_t*, const size_t*, size_t,       \
     size_t, size_t, size_t, const void*, cl_uint, const cl_event*, cl_event*))                    \
  X(cl_int, clEnqueueNDRangeKernel,                                                                \
    (cl_command_queue, cl_kernel, cl_uint, const size_t*, const size_t*, const size_t*, cl_uint,   \
     const cl_event*, cl_event*))                                                                  \
  X(cl_int, clEnqueueMarkerWithWaitList, (cl_command_queue, cl_uint, const cl_event*, cl_event*))  \
  X(cl_int, clGetEventInfo, (cl_event, cl_uint, size_t, void*, size_t*))                           \
  X(cl_int, clSetEventCallback, (cl_event, cl_int, EventNotify, void*))                            \
  X(cl_int, clReleaseEvent, (cl_event))                                                            \
  X(cl_int, clFlush, (cl_command_queue))                                                           \
  X(cl_int, clFinish, (cl_command_queue))

// Missing in drivers of OpenCL 1, which are found without a loader between on phones and boards.
#define HETCOMP_OPENCL_2_FUNCTIONS(X)                                                             \
  X(cl_command_queue, clCreateCommandQueueWithProperties,                                         \
    (cl_context, cl_device_id, const cl_bitfield*, cl_int*))                                      \
  X(cl_int, clSetKernelArgSVMPointer, (cl_kernel, cl_uint, const void*))                          \
  X(void*, clSVMAlloc, (cl_context, cl_bitfield, size_t, cl_uint))                                \
  X(void, clSVMFree, (cl_context, void*))                                                         \
  X(cl_int, clEnqueueSVMMap,                                                                      \
    (cl_command_queue, cl_bool, cl_bitfield, void*, size_t, cl_uint, const cl_event*, cl_event*)) \
  X(cl_int, clEnqueueSVMUnmap, (cl_command_queue, void*, cl_uint, const cl_event*, cl_event*))

#define HETCOMP_OPENCL_FUNCTIONS(X) \
  HETCOMP_OPENCL_1_FUNCTIONS(X)     \
  HETCOMP_OPENCL_2_FUNCTIONS(X)

// Function pointers into one OpenCL library, those of OpenCL 2 null where it has none; lives as
// long as the process.
struct OpenClApi {
#define HETCOMP_DECLARE(result, name, parameters) result(*name) parameters = nullptr;
  HETCOMP_OPENCL_FUNCTIONS(HETCOMP_DECLARE)
#undef HETCOMP_DECLARE
};

// Loads `library`, or the usual names if it is empty. Throws Error(kDevice) with the loader's text.
OpenClApi LoadOpenCl(const std::string& library);

// "CL_OUT_OF_RESOURCES (-5)".
std::string ClCodeName(cl_int code);

// What a driver says, fit for JSON and terminals: '?' for what is not plain text.
std::string Printable(std::string text);

// Throws Error(kDevice) with call, symbolic code, file and line unless `code` is CL_SUCCESS.
void CheckCl(cl_int code, const char* call, const char* file, int line);

// Likewise, and if there is no object although the status says so.
void CheckCreated(const void* object, cl_int code, const char* call, const char* file, int line);

// Every OpenCL call that returns a status goes through the first of these, every call that
// returns an object and stores its status through the second.
#define HETCOMP_CL_CHECK(call) ::hetcomp::CheckCl((call), #call, __FILE__, __LINE__)
#define HETCOMP_CL_CREATE(result, function, ...)                                         \
  do {                                                                                   \
    ::hetcomp::cl_int status_ = 0;                                                       \
    (result) = (function)(__VA_ARGS__, &status_);                                        \
    ::hetcomp::CheckCreated((result), status_, #function "(" #__VA_ARGS__ ")", __FILE__, \
                            __LINE__);                                                   \
  } while (false)

}  // namespace hetcomp

#endif  // HETCOMP_OPENCL_API_H_
