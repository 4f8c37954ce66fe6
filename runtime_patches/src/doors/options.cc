#include "doors/options.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/extra/json.h>

#include <array>
#include <cstdlib>

#include "base/error.h"
#include "npu/npu_driver.h"

namespace hetcomp {
namespace {

namespace json = tvm::ffi::json;
using tvm::ffi::Any;
using tvm::ffi::String;

[[noreturn]] void BadValue(const std::string& key, const std::string& expected) {
  ThrowInput("option \"" + key + "\": expected " + expected);
}

std::string Text(const std::string& key, const Any& value) {
  auto text = value.try_cast<String>();
  if (!text.has_value()) BadValue(key, "a string");
  return std::string(*text);
}

// null stands for the default.
std::string TextOrNull(const std::string& key, const Any& value) {
  return value == nullptr ? std::string() : Text(key, value);
}

int64_t Integer(const std::string& key, const Any& value, int64_t low, int64_t high) {
  auto number = value.try_cast<int64_t>();
  if (!number.has_value() || *number < low || *number > high) {
    BadValue(key, "an integer from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return *number;
}

double Positive(const std::string& key, const Any& value) {
  auto number = value.try_cast<double>();
  if (!number.has_value() || !(*number > 0.0 && *number <= 3.6e6)) {
    BadValue(key, "a number of milliseconds, more than 0 and at most one hour");
  }
  return *number;
}

bool Flag(const std::string& key, const Any& value) {
  auto flag = value.try_cast<bool>();
  if (!flag.has_value()) BadValue(key, "true or false");
  return *flag;
}

// False where it is "off".
bool Switch(const std::string& key, const std::string& value) {
  if (value != "auto" && value != "off")
    BadValue(key, "\"auto\" or \"off\", got \"" + value + "\"");
  return value == "auto";
}

PinMode Pin(const std::string& key, const std::string& value) {
  if (value == "auto") return PinMode::kAuto;
  if (value == "on") return PinMode::kOn;
  if (value == "off") return PinMode::kOff;
  BadValue(key, "\"auto\", \"on\" or \"off\", got \"" + value + "\"");
}

AdaptMode Adapt(const std::string& key, const std::string& value) {
  if (value == "auto") return AdaptMode::kAuto;
  if (value == "on") return AdaptMode::kOn;
  if (value == "off") return AdaptMode::kOff;
  BadValue(key, "\"auto\", \"on\" or \"off\", got \"" + value + "\"");
}

// Triples of numbers: from which inference, factor of the CPU, factor of the GPU.
std::vector<PretendedLoad> Loads(const std::string& key, const Any& value) {
  std::vector<PretendedLoad> loads;
  auto list = value.try_cast<json::Array>();
  if (!list.has_value()) BadValue(key, "a list");
  for (const Any& item : *list) {
    auto triple = item.try_cast<json::Array>();
    if (!triple.has_value() || triple->size() != 3) BadValue(key, "a list of triples");
    double numbers[3];
    for (size_t i = 0; i < 3; ++i) {
      auto number = (*triple)[static_cast<int64_t>(i)].try_cast<double>();
      if (!number.has_value()) BadValue(key, "numbers");
      numbers[i] = *number;
    }
    loads.push_back({static_cast<long long>(numbers[0]), numbers[1], numbers[2]});
  }
  return loads;
}

constexpr int64_t kMaxCore = 1023;

std::vector<int> Cores(const std::string& key, const Any& value) {
  std::vector<int> cores;
  auto list = value.try_cast<json::Array>();
  if (!list.has_value()) BadValue(key, "a list");
  for (const Any& item : *list) {
    cores.push_back(static_cast<int>(Integer(key, item, 0, kMaxCore)));
  }
  return cores;
}

AheadMode Ahead(const std::string& key, const std::string& value) {
  if (value == "auto") return AheadMode::kAuto;
  if (value == "on") return AheadMode::kOn;
  if (value == "off") return AheadMode::kOff;
  BadValue(key, "\"auto\", \"on\" or \"off\", got \"" + value + "\"");
}

// One of `all` by its name, or none for "auto".
template <typename Kind, size_t n>
std::optional<Kind> Named(const std::string& key, const std::string& value,
                          const std::array<Kind, n>& all, const char* (*name)(Kind)) {
  std::string names = "\"auto\"";
  if (value == "auto") return std::nullopt;
  for (Kind kind : all) {
    if (value == name(kind)) return kind;
    names += std::string(", \"") + name(kind) + "\"";
  }
  BadValue(key, names + ", got \"" + value + "\"");
}

std::optional<Tier> TierOf(const std::string& key, const std::string& value) {
  return Named(key, value, kTiers, TierName);
}

std::optional<MemoryKind> MemoryOf(const std::string& key, const std::string& value) {
  return Named(key, value, kMemoryKinds, MemoryName);
}

Fault FaultOf(const std::string& key, const std::string& value) {
  if (value.empty()) return Fault::kNone;
  if (value == "wedge") return Fault::kWedge;
  if (value == "enqueue") return Fault::kEnqueue;
  BadValue(key, "\"\", \"wedge\" or \"enqueue\", got \"" + value + "\"");
}

NpuFault NpuFaultOf(const std::string& key, const std::string& value) {
  const std::array<const char*, 9> names = {"",    "missing", "refuse",  "memory", "fail",
                                            "die", "hang",    "exhaust", "stuck"};
  for (size_t i = 0; i < names.size(); ++i) {
    if (value == names[i]) return static_cast<NpuFault>(i);
  }
  BadValue(key, "a fault of an NPU driver, got \"" + value + "\"");
}

std::string Npu(const std::string& key, const std::string& value) {
  if (value == "auto" || value == "off" || FindNpuDriver(value) != nullptr) return value;
  std::string names = "\"auto\", \"off\"";
  for (const std::string& name : NpuDriverNames()) names += ", \"" + name + "\"";
  BadValue(key, names + ", got \"" + value + "\"");
}

// Where the user's caches are; "" where nobody says so.
std::string CacheFolder() {
  const struct {
    const char* variable;
    const char* below;
  } places[] = {{"HETCOMP_CACHE_DIR", "/programs"},
                {"XDG_CACHE_HOME", "/hetcomp/programs"},
                {"HOME", "/.cache/hetcomp/programs"}};
  for (const auto& [variable, below] : places) {
    const char* value = std::getenv(variable);
    if (value != nullptr && value[0] != '\0') return std::string(value) + below;
  }
  return {};
}

CacheChoice Cache(const std::string& value) {
  if (value == "off" || value.empty()) return {};
  if (value == "auto") return {CacheFolder(), /*always=*/false};
  return {value, /*always=*/true};
}

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
  if (const char* value = std::getenv("HETCOMP_PIN")) options->pin = Pin("HETCOMP_PIN", value);
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
    options->pin = Pin(key, Text(key, value));
  } else if (key == "ahead") {
    options->ahead = Ahead(key, Text(key, value));
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
    options->adapt = Adapt(key, Text(key, value));
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
