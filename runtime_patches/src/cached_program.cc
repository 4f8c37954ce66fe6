#include "cached_program.h"

#include "error.h"

namespace hetcomp {
namespace {

// It keeps what it compiles in files of its own; asked for a binary, it compiles each kernel again,
// for work-groups of any size.
constexpr std::string_view kKeepsPrograms = "Portable Computing Language";

std::string FolderFor(const DeviceChoice& device, const CacheChoice& choice) {
  return device.platform == kKeepsPrograms && !choice.always ? std::string() : choice.folder;
}

}  // namespace

CachedProgram::CachedProgram(const ClHandles& cl, const DeviceChoice& device, MemoryKind memory,
                             const AtomicsSpelling& spelling, std::string_view source,
                             const CacheChoice& choice)
    : cl_(cl), cache_(FolderFor(device, choice)) {
  if (cache_.on()) {
    key_ = ProgramKey({device.name, device.version, device.driver, device.platform,
                       spelling.build_options, MemoryMacros(memory), spelling.macros, kPrologue,
                       source});
    program_ = LoadProgram(cl_, spelling, cache_.Read(key_));
    hit_ = program_ != nullptr;
  }
  if (program_ == nullptr) program_ = BuildProgram(cl_, memory, spelling, source);
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
