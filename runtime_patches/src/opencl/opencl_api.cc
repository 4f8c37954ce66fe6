#include "opencl/opencl_api.h"

#include <dlfcn.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "base/error.h"

namespace hetcomp {
namespace {

[[noreturn]] void ThrowDevice(const std::string& message) {
  throw Error(ErrorKind::kDevice, message);
}

#if defined(__ANDROID__)
// Applications reach a vendor's library by its bare name, where their manifest asks for it;
// programs of the shell by its path. Mali's and PowerVR's are their drivers themselves.
constexpr const char* kLibraries[] = {"libOpenCL.so",
                                      "/vendor/lib64/libOpenCL.so",
                                      "/system/vendor/lib64/libOpenCL.so",
                                      "/vendor/lib64/egl/libGLES_mali.so",
                                      "/vendor/lib64/libGLES_mali.so",
                                      "/vendor/lib64/libPVROCL.so",
                                      "/system/lib64/libOpenCL.so"};
#else
constexpr const char* kLibraries[] = {"libOpenCL.so.1", "libOpenCL.so"};
#endif

void* OpenLibrary(const std::string& library) {
  std::vector<std::string> names(std::begin(kLibraries), std::end(kLibraries));
  if (!library.empty()) names = {library};
  std::string reason;
  for (const std::string& name : names) {
    // Never closed: drivers keep threads.
    if (void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
    if (reason.empty()) reason = dlerror();
  }
  ThrowDevice("no OpenCL: " + reason);
}

}  // namespace

OpenClApi LoadOpenCl(const std::string& library) {
  void* handle = OpenLibrary(library);
  OpenClApi api;
#define HETCOMP_BIND(result, name, parameters) \
  api.name = reinterpret_cast<result(*) parameters>(dlsym(handle, #name));
#define HETCOMP_REQUIRE(result, name, parameters) \
  if (api.name == nullptr) ThrowDevice("the OpenCL library has no function " #name);
  HETCOMP_OPENCL_FUNCTIONS(HETCOMP_BIND)
  HETCOMP_OPENCL_1_FUNCTIONS(HETCOMP_REQUIRE)
#undef HETCOMP_REQUIRE
#undef HETCOMP_BIND
  return api;
}

std::string ClCodeName(cl_int code) {
  static const std::pair<cl_int, const char*> kNames[] = {
      {0, "CL_SUCCESS"},
      {-1, "CL_DEVICE_NOT_FOUND"},
      {-2, "CL_DEVICE_NOT_AVAILABLE"},
      {-3, "CL_COMPILER_NOT_AVAILABLE"},
      {-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
      {-5, "CL_OUT_OF_RESOURCES"},
      {-6, "CL_OUT_OF_HOST_MEMORY"},
      {-11, "CL_BUILD_PROGRAM_FAILURE"},
      {-13, "CL_MISALIGNED_SUB_BUFFER_OFFSET"},
      {-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
      {-18, "CL_DEVICE_PARTITION_FAILED"},
      {-30, "CL_INVALID_VALUE"},
      {-31, "CL_INVALID_DEVICE_TYPE"},
      {-32, "CL_INVALID_PLATFORM"},
      {-33, "CL_INVALID_DEVICE"},
      {-34, "CL_INVALID_CONTEXT"},
      {-36, "CL_INVALID_COMMAND_QUEUE"},
      {-44, "CL_INVALID_PROGRAM"},
      {-45, "CL_INVALID_PROGRAM_EXECUTABLE"},
      {-46, "CL_INVALID_KERNEL_NAME"},
      {-48, "CL_INVALID_KERNEL"},
      {-49, "CL_INVALID_ARG_INDEX"},
      {-50, "CL_INVALID_ARG_VALUE"},
      {-51, "CL_INVALID_ARG_SIZE"},
      {-52, "CL_INVALID_KERNEL_ARGS"},
      {-54, "CL_INVALID_WORK_GROUP_SIZE"},
      {-59, "CL_INVALID_OPERATION"},
      {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
  };
  for (const auto& [value, name] : kNames) {
    if (value == code) return std::string(name) + " (" + std::to_string(code) + ")";
  }
  return "OpenCL error " + std::to_string(code);
}

void CheckCl(cl_int code, const char* call, const char* file, int line) {
  if (code == CL_SUCCESS) return;
  ThrowDevice(std::string(call) + ": " + ClCodeName(code) + " at " + file + ":" +
              std::to_string(line));
}

void CheckCreated(const void* object, cl_int code, const char* call, const char* file, int line) {
  CheckCl(code, call, file, line);
  if (object != nullptr) return;
  ThrowDevice(std::string(call) + ": success without an object at " + file + ":" +
              std::to_string(line));
}

std::string Printable(std::string text) {
  const auto odd = [](unsigned char byte) { return byte > '~' || (byte < ' ' && byte != '\n'); };
  std::replace_if(text.begin(), text.end(), odd, '?');
  return text;
}

}  // namespace hetcomp
