#include "opencl/opencl_device.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "cpu/pinning.h"
#include "opencl/cl_events.h"

namespace hetcomp {
namespace {

using Key = std::tuple<std::string, PinMode, int, int>;

struct Entry {
  OpenClDevice* device = nullptr;
  std::string why_not;
};

// Of PoCL's workers the second takes the second sub-device; the first often shares the main core.
constexpr size_t kSubDevice = 1;

// Work-groups per core of a CPU device: enough to level out cores that are interrupted. On PoCL a
// work-group costs about 0.1 us.
constexpr size_t kGroupsPerCore = 4;
constexpr int kMostTimesTakenBack = 3;
constexpr double kTakeBackLimitUs = 1e6;

// Equal requests of any model.so share a queue.
std::string QueueName(const DeviceRequest& request) {
  return "opencl:" + request.library + ":" + std::to_string(static_cast<int>(request.pin)) + ":" +
         std::to_string(request.cpu_core) + ":" + std::to_string(request.gpu_core);
}

}  // namespace

OpenClDevice& OpenClDevice::Get(const DeviceRequest& request) {
  static std::mutex mutex;                                  // guards `entries`
  static auto* const entries = new std::map<Key, Entry>();  // leaked: used until exit
  std::lock_guard<std::mutex> lock(mutex);
  const Key key{request.library, request.pin, request.cpu_core, request.gpu_core};
  auto found = entries->find(key);
  if (found == entries->end()) {
    Entry entry;
    try {
      entry.device = new OpenClDevice(request);
    } catch (const Error& error) {
      entry.why_not = error.what();
    }
    found = entries->emplace(key, entry).first;
  }
  if (found->second.device == nullptr) throw Error(ErrorKind::kDevice, found->second.why_not);
  return *found->second.device;
}

OpenClDevice::OpenClDevice(const DeviceRequest& request)
    : api_(LoadOpenCl(request.library)), queue_(QueueName(request)) {
  const QueueTurn turn(queue_, /*priority=*/0);
  queue_.Use(nullptr, nullptr);
  // A CPU device's workers inherit the mask of the thread that makes the first OpenCL call.
  const std::vector<int> threads_before = ThreadIds();
  ScopedPin pin(request.gpu_core);
  choice_ = SelectDevice(api_);
  const bool pin_worker = request.gpu_core >= 0 && (choice_.is_cpu || request.pin == PinMode::kOn);
  if (!pin_worker) {
    pin.Release();
    if (request.gpu_core >= 0) CopyMaskToThreadsSince(threads_before);
  }
  cl_.api = &api_;
  FindQueue(/*divide=*/pin_worker && choice_.is_cpu);
  const size_t units = ComputeUnits(api_, cl_.device);
  useful_groups_ = choice_.is_cpu ? kGroupsPerCore * units : SIZE_MAX;
  one_unit_ = choice_.is_cpu && units == 1;
  RunNothing(cl_);
  pin.Release();
  pinned_ = pin_worker && choice_.is_cpu && OtherThreadsPinnedTo(request.gpu_core) > 0;
  host_core_ = request.cpu_core;
  ScopedPin pin_host(host_core());
  probe_ = ProbeDevice(cl_, choice_);
}

// The process's queue, made now where there is none. `divide`: on a part of the device.
void OpenClDevice::FindQueue(bool divide) {
  if (queue_.queue() != nullptr) {
    cl_.device = static_cast<cl_device_id>(queue_.device());
    cl_.context = static_cast<cl_context>(queue_.context());
    cl_.queue = static_cast<cl_command_queue>(queue_.queue());
    return;
  }
  cl_.device = divide ? OneUnitSubDevice(api_, choice_.device, kSubDevice) : choice_.device;
  CreateQueue();
  queue_.Publish(cl_.device, cl_.context, cl_.queue);
}

void OpenClDevice::CreateQueue() {
  HETCOMP_CL_CREATE(cl_.context, api_.clCreateContext, nullptr, 1, &cl_.device, nullptr, nullptr);
  // No properties: in order, no profiling.
  if (choice_.opencl_2) {
    HETCOMP_CL_CREATE(cl_.queue, api_.clCreateCommandQueueWithProperties, cl_.context, cl_.device,
                      nullptr);
  } else {
    HETCOMP_CL_CREATE(cl_.queue, api_.clCreateCommandQueue, cl_.context, cl_.device, 0);
  }
}

bool OpenClDevice::TakeBack() {
  if (times_taken_back_ == kMostTimesTakenBack) return false;
  ScopedPin pin(host_core());
  try {
    queue_.Use(nullptr, nullptr);
    if (FinishWithin(cl_, kTakeBackLimitUs) != WaitResult::kReached) return false;
    const TierProbe now = ProbeDevice(cl_, choice_).tiers;
    const TierProbe& first = probe_.tiers;
    if (now.no_ahead.empty() != first.no_ahead.empty()) return false;
    if (now.no_flags.empty() != first.no_flags.empty()) return false;
  } catch (const Error&) {
    return false;
  }
  ++times_taken_back_;
  queue_.MarkGood();
  return true;
}

CachedProgram& OpenClDevice::Program(std::string_view source, MemoryKind memory,
                                     const CacheChoice& cache) {
  std::unique_ptr<CachedProgram>& program = programs_[memory == MemoryKind::kBuffer];
  if (program != nullptr) return *program;
  const double start_us = NowUs();
  program = std::make_unique<CachedProgram>(cl_, choice_, memory, *probe_.spelling, source, cache);
  build_ms_ = (NowUs() - start_us) * 1e-3;
  return *program;
}

const char* OpenClDevice::program_cache(MemoryKind memory) const {
  const std::unique_ptr<CachedProgram>& program = programs_[memory == MemoryKind::kBuffer];
  return program != nullptr ? program->outcome() : "off";
}

}  // namespace hetcomp
