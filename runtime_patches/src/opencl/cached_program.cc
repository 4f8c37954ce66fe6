#include "opencl/cached_program.h"

#include "base/error.h"
#include "base/inflate.h"

namespace hetcomp {
namespace {

constexpr std::string_view kPocl = "Portable Computing Language";

// PoCL keeps what it compiles in files of its own; asked for a binary, it compiles each kernel
// again, for work-groups of any size.
std::string FolderFor(const DeviceChoice& device, const CacheChoice& choice) {
  return device.platform == kPocl && !choice.always ? std::string() : choice.folder;
}

// Instructions that this machine has and PoCL's compiler does not say of it: where PoCL is built
// for many machines, that compiles for one of the kinds that its own library was built for. It
// assembles them all the same.
std::string_view InstructionMacros(const DeviceChoice& device) {
#if defined(__x86_64__)
  const bool has_dot = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni");
  if (device.is_cpu && device.platform == kPocl && has_dot) return "#define HETCOMP_X86_VNNI 1\n";
#endif
  return "";
}

}  // namespace

CachedProgram::CachedProgram(const ClHandles& cl, const DeviceChoice& device, MemoryKind memory,
                             const AtomicsSpelling& spelling, std::string_view kernels,
                             const CacheChoice& choice)
    : cl_(cl), cache_(FolderFor(device, choice)) {
  const std::string macros(InstructionMacros(device));
  if (cache_.on()) {
    key_ = ProgramKey({device.name, device.version, device.driver, device.platform,
                       spelling.build_options, MemoryMacros(memory), spelling.macros, kPrologue,
                       macros, kernels});
    program_ = LoadProgram(cl_, spelling, cache_.Read(key_));
    hit_ = program_ != nullptr;
  }
  if (program_ != nullptr) return;
  program_ = BuildProgram(cl_, memory, spelling, macros + Unpack(kernels));
}

const char* CachedProgram::outcome() const {
  if (!cache_.on()) return "off";
  return hit_ ? "hit" : "miss";
}

void CachedProgram::Keep() {
  if (!cache_.on() || hit_ || kept_) return;
  kept_ = true;
  cache_.Write(key_, ProgramBinary(cl_, program_));
}

}  // namespace hetcomp
