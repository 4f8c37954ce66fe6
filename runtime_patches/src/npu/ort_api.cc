#include "npu/ort_api.h"

#include <dlfcn.h>

#include "base/error.h"

namespace hetcomp {
namespace {

constexpr uint32_t kApiVersion = 24;
constexpr int kLogErrors = 3;
constexpr int kArenaAllocator = 1;
constexpr int kDefaultMemory = 0;

// What OrtGetApiBase returns.
struct ApiBase {
  void* const* (*get_api)(uint32_t version);
  const char* (*get_version)();
};

[[noreturn]] void ThrowDevice(const std::string& message) {
  throw Error(ErrorKind::kDevice, message);
}

const ApiBase* LoadBase(const std::string& library) {
  // Never closed: it keeps threads.
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) ThrowDevice(std::string("no ONNX Runtime: ") + dlerror());
  void* const symbol = dlsym(handle, "OrtGetApiBase");
  if (symbol == nullptr) ThrowDevice(library + " is not ONNX Runtime: it has no OrtGetApiBase");
  const ApiBase* const base = reinterpret_cast<const ApiBase* (*)()>(symbol)();
  if (base == nullptr) ThrowDevice(library + " gives no API");
  return base;
}

}  // namespace

OrtLibrary::OrtLibrary(const std::string& library, const char* provider,
                       const std::string& plug_in) {
  const ApiBase* const base = LoadBase(library);
  version_ = base->get_version();
  table_ = base->get_api(kApiVersion);
  if (table_ == nullptr) {
    ThrowDevice("ONNX Runtime " + version_ + " is too old, at least 1." +
                std::to_string(kApiVersion) + " is needed");
  }
  Call(OrtSlots::kCreateEnv, kLogErrors, "hetcomp", &environment_);
  device_ = FindDevice(provider);  // another model of this process may have registered it
  if (device_ == nullptr) {
    Call(OrtSlots::kRegisterExecutionProviderLibrary, environment_, provider, plug_in.c_str());
    device_ = FindDevice(provider);
  }
  if (device_ == nullptr) ThrowDevice(plug_in + " finds no device for " + provider);
  Call(OrtSlots::kCreateCpuMemoryInfo, kArenaAllocator, kDefaultMemory, &memory_);
}

void OrtLibrary::Check(OrtHandle status) const {
  if (status == nullptr) return;
  const std::string message = Function<const char*(OrtHandle)>(OrtSlots::kGetErrorMessage)(status);
  Release(OrtSlots::kReleaseStatus, status);
  ThrowDevice("ONNX Runtime " + version_ + ": " + message);
}

// The first one of the provider's; null: none.
OrtHandle OrtLibrary::FindDevice(const char* provider) const {
  const OrtHandle* devices = nullptr;
  size_t count = 0;
  Call(OrtSlots::kGetEpDevices, environment_, &devices, &count);
  const auto name_of = Function<const char*(OrtHandle)>(OrtSlots::kEpDevice_EpName);
  for (size_t i = 0; i < count; ++i) {
    if (std::string(provider) == name_of(devices[i])) return devices[i];
  }
  return nullptr;
}

// Tensors of one run, on the caller's memory.
class OrtSession::Values {
 public:
  explicit Values(const OrtLibrary& library) : library_(library) {}
  ~Values() {
    for (OrtHandle value : handles) library_.Release(OrtSlots::kReleaseValue, value);
  }
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;

  void Add(const OrtTensor& tensor, char* data) {
    OrtHandle value = nullptr;
    library_.Call(OrtSlots::kCreateTensorWithDataAsOrtValue, library_.memory(),
                  static_cast<void*>(data), tensor.bytes, tensor.shape.data(), tensor.shape.size(),
                  static_cast<int>(tensor.element), &value);
    handles.push_back(value);
    names.push_back(tensor.name.c_str());
  }

  std::vector<OrtHandle> handles;
  std::vector<const char*> names;

 private:
  const OrtLibrary& library_;
};

OrtSession::OrtSession(const OrtLibrary& library, const char* model, size_t bytes,
                       const OrtProviderOptions& options, std::vector<OrtTensor> inputs,
                       std::vector<OrtTensor> outputs)
    : library_(library), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {
  OrtHandle made = nullptr;
  library.Call(OrtSlots::kCreateSessionOptions, &made);
  const auto release = [&](OrtHandle handle) {
    library.Release(OrtSlots::kReleaseSessionOptions, handle);
  };
  const std::unique_ptr<void, decltype(release)> settings(made, release);
  library.Call(OrtSlots::kSetSessionLogSeverityLevel, made, kLogErrors);
  // All of it on the provider, or an error.
  library.Call(OrtSlots::kAddSessionConfigEntry, made, "session.disable_cpu_ep_fallback", "1");
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : options) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  const OrtHandle devices[] = {library.device()};
  library.Call(OrtSlots::kSessionOptionsAppendExecutionProvider_V2, made, library.environment(),
               &devices[0], size_t{1}, keys.data(), values.data(), keys.size());
  library.Call(OrtSlots::kCreateSessionFromArray, library.environment(),
               static_cast<const void*>(model), bytes, made, &session_);
}

OrtSession::~OrtSession() { library_.Release(OrtSlots::kReleaseSession, session_); }

void OrtSession::Run(const char* const* inputs, char* const* outputs) {
  Values given(library_), made(library_);
  for (size_t i = 0; i < inputs_.size(); ++i) {
    given.Add(inputs_[i], const_cast<char*>(inputs[i]));  // read only
  }
  for (size_t i = 0; i < outputs_.size(); ++i) made.Add(outputs_[i], outputs[i]);
  const OrtHandle no_options = nullptr;
  library_.Call(OrtSlots::kRun, session_, no_options, given.names.data(), given.handles.data(),
                given.handles.size(), made.names.data(), made.names.size(), made.handles.data());
}

}  // namespace hetcomp
