#include "npu_htp.h"

#include <memory>
#include <mutex>
#include <utility>

#include "error.h"
#include "ort_api.h"

namespace hetcomp {
namespace {

constexpr char kProvider[] = "QNNExecutionProvider";

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

class HtpKernel : public NpuKernel {
 public:
  HtpKernel(const OrtLibrary& library, const std::string& backend, const NpuRegion& region)
      : session_(library, region.context_data, region.context_bytes, {{"backend_path", backend}},
                 Tensors(region.inputs, region.context->inputs),
                 Tensors(region.outputs, region.context->outputs)) {}

  // The vendor's library cannot be interrupted: who waits gives up without it, see npu_queue.h.
  void Run(const char* const* inputs, char* const* outputs,
           const std::atomic<bool>& abandoned) override {
    if (!abandoned.load(std::memory_order_relaxed)) session_.Run(inputs, outputs);
  }

 private:
  OrtSession session_;
};

class HtpDriver : public NpuDriver {
 public:
  const char* name() const override { return "htp"; }

  std::string WhyMissing() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
      Load();
    } catch (const Error& error) {
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
    return std::make_unique<HtpKernel>(*library_, libraries_.qnn + "/libQnnHtp.so", region);
  }

  void Use(const HtpLibraries& libraries) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (library_ == nullptr) libraries_ = libraries;
  }

 private:
  // Call with mutex_ held.
  void Load() {
    if (library_ != nullptr) return;
    if (libraries_.onnxruntime.empty() || libraries_.qnn.empty()) {
      ThrowDevice(
          "ONNX Runtime with the provider QNN was not found: pip install 'hetcomp[qnn]' (it has "
          "proprietary libraries, under Qualcomm's AI Stack License), or set HETCOMP_ONNXRUNTIME "
          "to libonnxruntime.so and HETCOMP_QNN to the folder of its libraries");
    }
    library_ = std::make_unique<OrtLibrary>(libraries_.onnxruntime, kProvider,
                                            libraries_.qnn + "/libonnxruntime_providers_qnn.so");
  }

  std::mutex mutex_;  // guards what follows
  HtpLibraries libraries_;
  std::unique_ptr<OrtLibrary> library_;
};

// Never destroyed: a region that does not answer may run on while the process ends.
HtpDriver& Driver() {
  static HtpDriver* const driver = new HtpDriver;
  return *driver;
}

}  // namespace

NpuDriver* HtpNpu() { return &Driver(); }

void UseHtpLibraries(const HtpLibraries& libraries) { Driver().Use(libraries); }

}  // namespace hetcomp
