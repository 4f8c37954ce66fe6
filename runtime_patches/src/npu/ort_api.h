// ONNX Runtime's C ABI, as far as driver `htp` needs it: found at run time, so that a model.so
// needs no library at build time. The functions are slots of a table that is only ever appended to;
// their numbers and signatures are facts of that ABI, declared here by ourselves.
#ifndef HETCOMP_ORT_API_H_
#define HETCOMP_ORT_API_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hetcomp {

// An object of ONNX Runtime's: environment, session, value, ...
using OrtHandle = void*;

// Places of functions in the table; they never change.
struct OrtSlots {
  static constexpr size_t kGetErrorMessage = 2;
  static constexpr size_t kCreateEnv = 3;
  static constexpr size_t kCreateSessionFromArray = 8;
  static constexpr size_t kRun = 9;
  static constexpr size_t kCreateSessionOptions = 10;
  static constexpr size_t kSetSessionLogSeverityLevel = 22;
  static constexpr size_t kCreateTensorWithDataAsOrtValue = 49;
  static constexpr size_t kCreateCpuMemoryInfo = 69;
  static constexpr size_t kReleaseStatus = 93;
  static constexpr size_t kReleaseSession = 95;
  static constexpr size_t kReleaseValue = 96;
  static constexpr size_t kReleaseSessionOptions = 100;
  static constexpr size_t kAddSessionConfigEntry = 130;
  static constexpr size_t kRegisterExecutionProviderLibrary = 301;
  static constexpr size_t kGetEpDevices = 303;
  static constexpr size_t kSessionOptionsAppendExecutionProvider_V2 = 304;
  static constexpr size_t kEpDevice_EpName = 312;
};

// An element type of tensors, by ONNX Runtime's numbers.
enum class OrtElement : int { kFloat = 1, kUint8 = 2, kInt8 = 3, kInt32 = 6 };

struct OrtTensor {
  std::string name;
  OrtElement element;
  std::vector<int64_t> shape;
  size_t bytes;
};

using OrtProviderOptions = std::vector<std::pair<std::string, std::string>>;

// The library with an environment and one execution provider from a plug-in. Any thread.
class OrtLibrary {
 public:
  // Throws Error(kDevice) where one of both libraries is missing, too old, or no such.
  OrtLibrary(const std::string& library, const char* provider, const std::string& plug_in);

  // Version of the library, such as "1.24.2".
  const std::string& version() const { return version_; }

  // Throws Error(kDevice) with the library's own message.
  template <typename... Arguments>
  void Call(size_t slot, Arguments... arguments) const {
    Check(Function<OrtHandle(Arguments...)>(slot)(arguments...));
  }

  void Release(size_t slot, OrtHandle object) const {
    if (object != nullptr) Function<void(OrtHandle)>(slot)(object);
  }

  OrtHandle environment() const { return environment_; }
  OrtHandle device() const { return device_; }
  OrtHandle memory() const { return memory_; }

 private:
  template <typename Signature>
  Signature* Function(size_t slot) const {
    return reinterpret_cast<Signature*>(table_[slot]);
  }

  void Check(OrtHandle status) const;
  OrtHandle FindDevice(const char* provider) const;

  void* const* table_ = nullptr;
  std::string version_;
  // Never released: threads of the library's outlive every model.
  OrtHandle environment_ = nullptr;
  OrtHandle device_ = nullptr;
  OrtHandle memory_ = nullptr;
};

// An opened model; one thread at a time. Borrows the library.
class OrtSession {
 public:
  // All of the model has to run on the library's provider, with these options of it.
  OrtSession(const OrtLibrary& library, const char* model, size_t bytes,
             const OrtProviderOptions& options, std::vector<OrtTensor> inputs,
             std::vector<OrtTensor> outputs);
  ~OrtSession();
  OrtSession(const OrtSession&) = delete;
  OrtSession& operator=(const OrtSession&) = delete;

  void Run(const char* const* inputs, char* const* outputs);

 private:
  class Values;

  const OrtLibrary& library_;
  const std::vector<OrtTensor> inputs_;
  const std::vector<OrtTensor> outputs_;
  OrtHandle session_ = nullptr;
};

}  // namespace hetcomp

#endif  // HETCOMP_ORT_API_H_
