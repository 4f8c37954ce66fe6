#include "opencl_list.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <utility>
#include <vector>

#include "ask_process.h"
#include "base/error.h"
#include "base/json_writer.h"
#include "opencl/opencl_api.h"

namespace hetcomp::rpc {
namespace {

constexpr cl_uint kPartitionProperties = 0x1044;
constexpr cl_uint kMaxSubDevices = 0x1043;
constexpr cl_int kNoDevice = -1;
constexpr cl_int kNoPlatform = -1001;

constexpr std::pair<const char*, cl_uint> kTexts[] = {
    {"name", CL_DEVICE_NAME},       {"vendor", 0x102C},     {"driver", CL_DRIVER_VERSION},
    {"version", CL_DEVICE_VERSION}, {"extensions", 0x1030}, {"c_version", 0x103D},
};
constexpr std::pair<const char*, cl_uint> kNumbers[] = {
    {"vendor_id", 0x1001},
    {"compute_units", CL_DEVICE_MAX_COMPUTE_UNITS},
    {"max_group_items", 0x1004},
    {"vector_width", 0x100A},
    {"local_bytes", 0x1023},
    {"sub_group", 0x1067},
    {"memory_bytes", 0x101F},
    {"type", CL_DEVICE_TYPE},
    {"max_sub_devices", kMaxSubDevices},
    {"svm", CL_DEVICE_SVM_CAPABILITIES},
};

// The value of a query; empty where the device does not know it (OpenCL 1).
template <typename Call, typename Handle>
std::string Query(Call call, Handle handle, cl_uint name) {
  size_t size = 0;
  if (call(handle, name, 0, nullptr, &size) != CL_SUCCESS) return "";
  std::string value(size, '\0');
  if (call(handle, name, size, value.data(), nullptr) != CL_SUCCESS) return "";
  return value;
}

std::string Text(const std::string& value) {
  const std::string text = value.c_str();  // up to the end that OpenCL writes too
  const size_t end = text.find_last_not_of(' ');
  return end == std::string::npos ? "" : text.substr(0, end + 1);
}

// A little-endian number of 4 or 8 bytes.
uint64_t Number(const std::string& value) {
  uint64_t number = 0;
  std::memcpy(&number, value.data(), std::min(value.size(), sizeof(number)));
  return number;
}

bool DividesEqually(const std::string& properties) {
  std::vector<intptr_t> ways(properties.size() / sizeof(intptr_t));
  std::memcpy(ways.data(), properties.data(), ways.size() * sizeof(intptr_t));
  return std::find(ways.begin(), ways.end(), CL_DEVICE_PARTITION_EQUALLY) != ways.end();
}

std::string DeviceJson(const OpenClApi& cl, const std::string& platform, cl_device_id device) {
  JsonObject found;
  found.Text("platform", platform);
  for (const auto& [key, name] : kTexts) {
    found.Text(key, Text(Query(cl.clGetDeviceInfo, device, name)));
  }
  const bool divides = DividesEqually(Query(cl.clGetDeviceInfo, device, kPartitionProperties));
  for (const auto& [key, name] : kNumbers) {
    const uint64_t number = Number(Query(cl.clGetDeviceInfo, device, name));
    found.Raw(key, std::to_string(name == kMaxSubDevices && !divides ? 0 : number));
  }
  return found.Done();
}

void Check(cl_int status, const char* call) {
  if (status == CL_SUCCESS || status == kNoDevice || status == kNoPlatform) return;
  throw std::runtime_error(std::string(call) + " failed with " + ClCodeName(status));
}

std::vector<std::string> DevicesOf(const OpenClApi& cl, cl_platform_id platform) {
  const std::string name = Text(Query(cl.clGetPlatformInfo, platform, CL_PLATFORM_NAME));
  cl_uint count = 0;
  Check(cl.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count), "clGetDeviceIDs");
  std::vector<cl_device_id> devices(count);
  if (count > 0) {
    Check(cl.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, devices.data(), nullptr),
          "clGetDeviceIDs");
  }
  std::vector<std::string> found;
  for (cl_device_id device : devices) found.push_back(DeviceJson(cl, name, device));
  return found;
}

std::vector<std::string> AllDevices(const OpenClApi& cl) {
  cl_uint count = 0;
  Check(cl.clGetPlatformIDs(0, nullptr, &count), "clGetPlatformIDs");
  std::vector<cl_platform_id> platforms(count);
  if (count > 0) Check(cl.clGetPlatformIDs(count, platforms.data(), nullptr), "clGetPlatformIDs");
  std::vector<std::string> found;
  for (cl_platform_id platform : platforms) {
    for (std::string& device : DevicesOf(cl, platform)) found.push_back(std::move(device));
  }
  return found;
}

std::string Answer(bool library, const std::string& error, const std::vector<std::string>& found) {
  return JsonObject()
      .Flag("library", library)
      .Text("error", error)
      .Raw("devices", JsonList(found))
      .Done();
}

std::string List() {
  const char* library = getenv("HETCOMP_OPENCL_LIBRARY");
  OpenClApi cl;
  try {
    cl = LoadOpenCl(library == nullptr ? "" : library);
  } catch (const Error& error) {
    return Answer(false, error.what(), {});
  }
  return Answer(true, "", AllDevices(cl));
}

}  // namespace

std::string OpenClJson(int timeout_ms) {
  try {
    return AskProcess(List, In(timeout_ms));
  } catch (const std::runtime_error& error) {
    return Answer(true, std::string("the driver: ") + error.what(), {});
  }
}

}  // namespace hetcomp::rpc
