#include "npu/npu_htp.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/time_limit.h"
#include "npu/ort_api.h"

namespace hetcomp {
namespace {

constexpr char kProvider[] = "QNNExecutionProvider";
constexpr double kOpenFactor = 20.0;
constexpr double kLeastOpenMs = 1000.0;

[[noreturn]] void ThrowDevice(const std::string& message) {
  throw Error(ErrorKind::kDevice, message);
}

OrtElement ElementOf(const std::string& dtype) {
  if (dtype == "uint8") return OrtElement::kUint8;
  if (dtype == "int8") return OrtElement::kInt8;
  if (dtype == "int32") return OrtElement::kInt32;
  if (dtype == "float32") return OrtElement::kFloat;
  ThrowDevice("a tensor of it is " + dtype);
}

std::vector<OrtTensor> Tensors(const std::vector<NpuPort>& ports,
                               const std::vector<std::string>& names) {
  if (ports.size() != names.size()) ThrowDevice("its context has other inputs and outputs");
  std::vector<OrtTensor> tensors;
  for (size_t i = 0; i < ports.size(); ++i) {
    const NpuPort& port = ports[i];
    tensors.push_back({names[i], ElementOf(port.dtype), port.shape, port.bytes()});
  }
  return tensors;
}

// What a session is made of; its own, since who opens it may have been given up.
struct Opening {
  const OrtLibrary* library;
  const char* model;
  size_t bytes;
  std::string backend;
  std::vector<OrtTensor> inputs;
  std::vector<OrtTensor> outputs;
};

std::unique_ptr<OrtSession> OpenSession(Opening opening) {
  return std::make_unique<OrtSession>(
      *opening.library, opening.model, opening.bytes,
      OrtProviderOptions{{"backend_path", std::move(opening.backend)}}, std::move(opening.inputs),
      std::move(opening.outputs));
}

class HtpKernel : public NpuKernel {
 public:
  explicit HtpKernel(std::unique_ptr<OrtSession> session) : session_(std::move(session)) {}

  // The vendor's library cannot be interrupted: who waits gives up without it, see npu_queue.h.
  void Run(const char* const* inputs, char* const* outputs,
           const std::atomic<bool>& abandoned) override {
    if (!abandoned.load(std::memory_order_relaxed)) session_->Run(inputs, outputs);
  }

 private:
  const std::unique_ptr<OrtSession> session_;
};

class HtpDriver : public NpuDriver {
 public:
  const char* name() const override { return "htp"; }

  std::string WhyMissing() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
      Load();
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  }

  std::unique_ptr<NpuKernel> Open(const NpuRegion& region) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    Load();
    if (region.context == nullptr) {
      ThrowDevice("the file has no context for it; compile with --npu-driver htp and this plan");
    }
    if (region.context_data == nullptr) ThrowDevice(region.context->why_not);
    const Opening opening = {library_.get(),
                             region.context_data,
                             region.context_bytes,
                             libraries_.qnn + "/libQnnHtp.so",
                             Tensors(region.inputs, region.context->inputs),
                             Tensors(region.outputs, region.context->outputs)};
    return std::make_unique<HtpKernel>(
        Ask<std::unique_ptr<OrtSession>>([opening] { return OpenSession(opening); }));
  }

  void Use(const HtpLibraries& libraries, double timeout_ms) {
    const std::lock_guard<std::mutex> lock(mutex_);
    limit_ms_ = std::max(kLeastOpenMs, kOpenFactor * timeout_ms);
    if (library_ == nullptr && why_dead_.empty()) libraries_ = libraries;
  }

 private:
  // Call with mutex_ held, as what follows.
  void Load() {
    if (!why_dead_.empty()) ThrowDevice(why_dead_);
    if (library_ != nullptr) return;
    if (libraries_.onnxruntime.empty() || libraries_.qnn.empty()) {
      ThrowDevice(
          "ONNX Runtime with the provider QNN was not found: pip install 'hetcomp[qnn]' (it has "
          "proprietary libraries, under Qualcomm's AI Stack License), or set HETCOMP_ONNXRUNTIME "
          "to libonnxruntime.so and HETCOMP_QNN to the folder of its libraries");
    }
    library_ = Ask<std::unique_ptr<OrtLibrary>>([libraries = libraries_] {
      return std::make_unique<OrtLibrary>(libraries.onnxruntime, kProvider,
                                          libraries.qnn + "/libonnxruntime_providers_qnn.so");
    });
  }

  // Who did not answer once is not asked again.
  template <typename Result>
  Result Ask(std::function<Result()> question) {
    try {
      return WithinLimit<Result>(limit_ms_, "ONNX Runtime", std::move(question));
    } catch (const TimeoutError& error) {
      why_dead_ = error.what();
      throw;
    }
  }

  std::mutex mutex_;  // guards what follows
  HtpLibraries libraries_;
  double limit_ms_ = 0.0;
  std::string why_dead_;
  std::unique_ptr<OrtLibrary> library_;
};

// Never destroyed: a region that does not answer may run on while the process ends.
HtpDriver& Driver() {
  static HtpDriver* const driver = new HtpDriver;
  return *driver;
}

}  // namespace

NpuDriver* HtpNpu() { return &Driver(); }

void UseHtpLibraries(const HtpLibraries& libraries, double timeout_ms) {
  Driver().Use(libraries, timeout_ms);
}

}  // namespace hetcomp
