// Values of options, from JSON or the environment; each throws Error(kInput) with the option's
// name.
#ifndef HETCOMP_OPTION_VALUES_H_
#define HETCOMP_OPTION_VALUES_H_

#include <tvm/ffi/any.h>

#include <optional>
#include <string>
#include <vector>

#include "doors/options.h"

namespace hetcomp {

constexpr int64_t kMaxCore = 1023;

[[noreturn]] void BadValue(const std::string& key, const std::string& expected);

std::string Text(const std::string& key, const tvm::ffi::Any& value);
// null stands for the default.
std::string TextOrNull(const std::string& key, const tvm::ffi::Any& value);
int64_t Integer(const std::string& key, const tvm::ffi::Any& value, int64_t low, int64_t high);
double Positive(const std::string& key, const tvm::ffi::Any& value);
bool Flag(const std::string& key, const tvm::ffi::Any& value);
// False where it is "off".
bool Switch(const std::string& key, const std::string& value);
// Triples of numbers: from which inference, factor of the CPU, factor of the GPU.
std::vector<PretendedLoad> Loads(const std::string& key, const tvm::ffi::Any& value);
std::vector<int> Cores(const std::string& key, const tvm::ffi::Any& value);

// PinMode, AdaptMode or AheadMode.
template <typename Kind>
Kind Mode(const std::string& key, const std::string& value) {
  if (value == "auto") return Kind::kAuto;
  if (value == "on") return Kind::kOn;
  if (value == "off") return Kind::kOff;
  BadValue(key, "\"auto\", \"on\" or \"off\", got \"" + value + "\"");
}

// None for "auto".
std::optional<Tier> TierOf(const std::string& key, const std::string& value);
std::optional<MemoryKind> MemoryOf(const std::string& key, const std::string& value);

Fault FaultOf(const std::string& key, const std::string& value);
NpuFault NpuFaultOf(const std::string& key, const std::string& value);
// "auto", "off" or a driver's name.
std::string Npu(const std::string& key, const std::string& value);
// A folder; "auto": where the user's caches are.
CacheChoice Cache(const std::string& value);

}  // namespace hetcomp

#endif  // HETCOMP_OPTION_VALUES_H_
