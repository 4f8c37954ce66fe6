#include "doors/options.h"

#include <tvm/ffi/container/map.h>
#include <tvm/ffi/extra/json.h>

#include <cstdlib>

#include "base/error.h"
#include "doors/option_values.h"

namespace hetcomp {
namespace {

namespace json = tvm::ffi::json;
using tvm::ffi::Any;
using tvm::ffi::String;

bool OneOrZero(const std::string& key, const std::string& value) {
  if (value != "1" && value != "0") BadValue(key, "1 or 0, got \"" + value + "\"");
  return value == "1";
}

void ReadEnvironment(Options* options) {
  options->cache = Cache("auto");
  if (const char* value = std::getenv("HETCOMP_EXPERIMENTAL")) {
    options->experimental = OneOrZero("HETCOMP_EXPERIMENTAL", value);
  }
  if (const char* value = std::getenv("HETCOMP_DEVICE")) {
    options->device_off = !Switch("HETCOMP_DEVICE", value);
  }
  if (const char* value = std::getenv("HETCOMP_TIER"))
    options->tier = TierOf("HETCOMP_TIER", value);
  if (const char* value = std::getenv("HETCOMP_MEMORY")) {
    options->memory = MemoryOf("HETCOMP_MEMORY", value);
  }
  if (const char* value = std::getenv("HETCOMP_PIN"))
    options->pin = Mode<PinMode>("HETCOMP_PIN", value);
  if (const char* value = std::getenv("HETCOMP_NPU")) options->npu = Npu("HETCOMP_NPU", value);
  if (const char* value = std::getenv("HETCOMP_OPENCL_LIBRARY")) options->opencl_library = value;
  if (const char* value = std::getenv("HETCOMP_ONNXRUNTIME")) options->htp.onnxruntime = value;
  if (const char* value = std::getenv("HETCOMP_QNN")) options->htp.qnn = value;
}

void SetOption(const std::string& key, const Any& value, Options* options) {
  if (key == "plan") {
    options->plan = TextOrNull(key, value);
  } else if (key == "device") {
    options->device_off = !Switch(key, Text(key, value));
  } else if (key == "tier") {
    options->tier = TierOf(key, Text(key, value));
  } else if (key == "experimental") {
    options->experimental = Flag(key, value);
  } else if (key == "memory") {
    options->memory = MemoryOf(key, Text(key, value));
  } else if (key == "opencl_library") {
    if (value != nullptr) options->opencl_library = Text(key, value);
  } else if (key == "cache") {
    options->cache = Cache(Text(key, value));
  } else if (key == "verify") {
    options->verify = Switch(key, Text(key, value));
  } else if (key == "pin") {
    options->pin = Mode<PinMode>(key, Text(key, value));
  } else if (key == "ahead") {
    options->ahead = Mode<AheadMode>(key, Text(key, value));
  } else if (key == "chain") {
    options->chain = Switch(key, Text(key, value));
  } else if (key == "cpu_core") {
    options->cpu_core = static_cast<int>(Integer(key, value, -1, kMaxCore));
  } else if (key == "gpu_core") {
    options->gpu_core = static_cast<int>(Integer(key, value, -1, kMaxCore));
  } else if (key == "cores") {
    options->cores = Cores(key, value);
  } else if (key == "threads") {
    options->threads = static_cast<int>(Integer(key, value, 1, 256));
  } else if (key == "pipeline") {
    auto flag = value.try_cast<bool>();
    if (!flag.has_value()) BadValue(key, "true or false");
    options->pipeline = *flag;
  } else if (key == "priority") {
    options->priority = static_cast<int>(Integer(key, value, -1000, 1000));
  } else if (key == "timeout_ms") {
    options->timeout_ms = Positive(key, value);
  } else if (key == "fault") {
    options->fault = FaultOf(key, Text(key, value));
  } else if (key == "npu") {
    options->npu = Npu(key, Text(key, value));
  } else if (key == "onnxruntime") {
    options->htp.onnxruntime = TextOrNull(key, value);
  } else if (key == "qnn") {
    options->htp.qnn = TextOrNull(key, value);
  } else if (key == "npu_fault") {
    options->npu_fault = NpuFaultOf(key, Text(key, value));
  } else if (key == "quiet") {
    options->quiet = Flag(key, value);
  } else if (key == "gpu_slice_us") {
    options->gpu_slice_us = static_cast<double>(Integer(key, value, 0, 1000000));
  } else if (key == "adapt") {
    options->adapt = Mode<AdaptMode>(key, Text(key, value));
  } else if (key == "pretended_load") {
    options->pretended_load = Loads(key, value);
  } else if (key == "trace") {
    options->trace = Flag(key, value);
  } else if (key == "epoch_start") {
    options->epoch_start = static_cast<uint32_t>(Integer(key, value, 0, UINT32_MAX));
  } else {
    ThrowInput("unknown option \"" + key + "\"");
  }
}

void ReadJson(std::string_view text, Options* options) {
  String error;
  const json::Value value = json::Parse(String(text.data(), text.size()), &error);
  auto object = value.try_cast<json::Object>();
  if (error.size() != 0 || !object.has_value()) ThrowInput("options: expected a JSON object");
  for (const auto& [key, item] : *object) {
    SetOption(std::string(key.cast<String>()), item, options);
  }
}

}  // namespace

Options ParseOptions(std::string_view text) {
  Options options;
  ReadEnvironment(&options);
  if (!text.empty()) ReadJson(text, &options);
  if (options.pin == PinMode::kOff && options.cores.has_value() && !options.cores->empty()) {
    ThrowInput("option \"cores\": with \"pin\" off no thread is bound to a core");
  }
  if (options.tier == Tier::kMailbox && !options.experimental) {
    ThrowInput(
        "tier \"mailbox\" is experimental: it wants the option \"experimental\" or "
        "HETCOMP_EXPERIMENTAL=1");
  }
  if (options.gpu_slice_us > 0.0 && options.tier.has_value() && UsesGates(*options.tier)) {
    ThrowInput(std::string("option \"gpu_slice_us\": in tier \"") + TierName(*options.tier) +
               "\" launches wait on the device for the CPU, so that none is short; choose "
               "\"auto\", \"svm\", \"event\" or \"finish\"");
  }
  return options;
}

}  // namespace hetcomp
