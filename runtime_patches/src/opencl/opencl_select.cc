#include "opencl/opencl_select.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace hetcomp {
namespace {

// Platforms or devices beyond which a driver is not believed.
constexpr cl_uint kMostObjects = 4096;

cl_uint Believable(cl_uint count, const char* call) {
  if (count <= kMostObjects) return count;
  throw Error(ErrorKind::kDevice, std::string(call) + ": " + std::to_string(count) + " objects");
}

template <typename T>
T DeviceInfo(const OpenClApi& api, cl_device_id device, cl_uint what, T fallback) {
  T value = fallback;
  if (api.clGetDeviceInfo(device, what, sizeof(value), &value, nullptr) != CL_SUCCESS) {
    return fallback;
  }
  return value;
}

std::string DeviceText(const OpenClApi& api, cl_device_id device, cl_uint what) {
  char text[256] = "";
  if (api.clGetDeviceInfo(device, what, sizeof(text) - 1, text, nullptr) != CL_SUCCESS) return "?";
  return Printable(text);
}

std::string PlatformText(const OpenClApi& api, cl_platform_id platform) {
  char text[256] = "";
  const cl_int status =
      api.clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof(text) - 1, text, nullptr);
  return status == CL_SUCCESS ? Printable(text) : "?";
}

std::vector<cl_platform_id> Platforms(const OpenClApi& api) {
  cl_uint count = 0;
  const cl_int status = api.clGetPlatformIDs(0, nullptr, &count);
  constexpr cl_int kNoPlatform = -1001;
  if (status == kNoPlatform || (status == CL_SUCCESS && count == 0)) return {};
  CheckCl(status, "clGetPlatformIDs", __FILE__, __LINE__);
  std::vector<cl_platform_id> platforms(Believable(count, "clGetPlatformIDs"));
  HETCOMP_CL_CHECK(api.clGetPlatformIDs(count, platforms.data(), nullptr));
  return platforms;
}

std::vector<cl_device_id> Devices(const OpenClApi& api, cl_platform_id platform) {
  cl_uint count = 0;
  if (api.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count) != CL_SUCCESS) return {};
  std::vector<cl_device_id> devices(Believable(count, "clGetDeviceIDs"));
  if (count > 0) {
    HETCOMP_CL_CHECK(
        api.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, devices.data(), nullptr));
  }
  return devices;
}

// Of OpenCL 2 or later, as is the library; a newer library must not call an older driver's
// functions.
bool IsOpenCl2(const OpenClApi& api, cl_device_id device) {
  constexpr std::string_view kOpenCl1 = "OpenCL 1.";
  const std::string version = DeviceText(api, device, CL_DEVICE_VERSION);
  if (version.compare(0, kOpenCl1.size(), kOpenCl1) == 0) return false;
#define HETCOMP_HAS(result, name, parameters) &&api.name != nullptr
  return true HETCOMP_OPENCL_2_FUNCTIONS(HETCOMP_HAS);
#undef HETCOMP_HAS
}

cl_bitfield Svm(const OpenClApi& api, cl_device_id device) {
  if (!IsOpenCl2(api, device)) return 0;
  return DeviceInfo<cl_bitfield>(api, device, CL_DEVICE_SVM_CAPABILITIES, 0);
}

cl_bitfield Type(const OpenClApi& api, cl_device_id device) {
  return DeviceInfo<cl_bitfield>(api, device, CL_DEVICE_TYPE, 0);
}

bool IsFine(cl_bitfield svm) {
  constexpr cl_bitfield kNeeded = CL_DEVICE_SVM_FINE_GRAIN_BUFFER | CL_DEVICE_SVM_ATOMICS;
  return (svm & kNeeded) == kNeeded;
}

bool IsCoarse(cl_bitfield svm) { return (svm & CL_DEVICE_SVM_COARSE_GRAIN_BUFFER) != 0; }

constexpr int kWorstRank = 9;

// GPUs before accelerators before CPUs; among these by the memory that they share.
int Rank(const OpenClApi& api, cl_device_id device) {
  const cl_bitfield svm = Svm(api, device);
  const int memory = IsFine(svm) ? 0 : IsCoarse(svm) ? 1 : 2;
  const cl_bitfield type = Type(api, device);
  if ((type & CL_DEVICE_TYPE_GPU) != 0) return memory;
  return ((type & CL_DEVICE_TYPE_CPU) != 0 ? 6 : 3) + memory;
}

DeviceChoice Describe(const OpenClApi& api, cl_platform_id platform, cl_device_id device) {
  DeviceChoice choice;
  choice.device = device;
  choice.name = DeviceText(api, device, CL_DEVICE_NAME);
  choice.version = DeviceText(api, device, CL_DEVICE_VERSION);
  choice.driver = DeviceText(api, device, CL_DRIVER_VERSION);
  choice.platform = PlatformText(api, platform);
  choice.is_cpu = (Type(api, device) & CL_DEVICE_TYPE_CPU) != 0;
  choice.opencl_2 = IsOpenCl2(api, device);
  choice.fine = IsFine(Svm(api, device));
  choice.coarse = IsCoarse(Svm(api, device));
  return choice;
}

}  // namespace

DeviceChoice SelectDevice(const OpenClApi& api) {
  DeviceChoice best;
  int best_rank = kWorstRank;
  for (cl_platform_id platform : Platforms(api)) {
    for (cl_device_id device : Devices(api, platform)) {
      const int rank = Rank(api, device);
      if (rank >= best_rank) continue;
      best_rank = rank;
      best = Describe(api, platform, device);
    }
  }
  if (best.device == nullptr) throw Error(ErrorKind::kDevice, "no OpenCL device");
  return best;
}

cl_device_id OneUnitSubDevice(const OpenClApi& api, cl_device_id device, size_t index) {
  const intptr_t properties[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
  cl_uint count = 0;
  if (api.clCreateSubDevices(device, properties, 0, nullptr, &count) != CL_SUCCESS || count < 2) {
    return device;
  }
  std::vector<cl_device_id> parts(Believable(count, "clCreateSubDevices"));
  HETCOMP_CL_CHECK(api.clCreateSubDevices(device, properties, count, parts.data(), nullptr));
  return parts[std::min(index, parts.size() - 1)];
}

size_t ComputeUnits(const OpenClApi& api, cl_device_id device) {
  return std::max<cl_uint>(1, DeviceInfo<cl_uint>(api, device, CL_DEVICE_MAX_COMPUTE_UNITS, 1));
}

}  // namespace hetcomp
