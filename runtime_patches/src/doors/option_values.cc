#include "doors/option_values.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/extra/json.h>

#include <array>
#include <cstdlib>

#include "base/error.h"
#include "npu/npu_driver.h"

namespace hetcomp {

namespace json = tvm::ffi::json;
using tvm::ffi::Any;
using tvm::ffi::String;

namespace {

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

}  // namespace

void BadValue(const std::string& key, const std::string& expected) {
  ThrowInput("option \"" + key + "\": expected " + expected);
}

std::string Text(const std::string& key, const Any& value) {
  auto text = value.try_cast<String>();
  if (!text.has_value()) BadValue(key, "a string");
  return std::string(*text);
}

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

bool Switch(const std::string& key, const std::string& value) {
  if (value != "auto" && value != "off")
    BadValue(key, "\"auto\" or \"off\", got \"" + value + "\"");
  return value == "auto";
}

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

std::vector<int> Cores(const std::string& key, const Any& value) {
  std::vector<int> cores;
  auto list = value.try_cast<json::Array>();
  if (!list.has_value()) BadValue(key, "a list");
  for (const Any& item : *list) {
    cores.push_back(static_cast<int>(Integer(key, item, 0, kMaxCore)));
  }
  return cores;
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

CacheChoice Cache(const std::string& value) {
  if (value == "off" || value.empty()) return {};
  if (value == "auto") return {CacheFolder(), /*always=*/false};
  return {value, /*always=*/true};
}

}  // namespace hetcomp
