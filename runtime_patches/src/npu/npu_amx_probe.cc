#include "npu/npu_amx_probe.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace hetcomp {
namespace {

#if defined(__x86_64__) && defined(__linux__)
constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
constexpr int kTileData = 18;               // the state's number, in XCR0 too
constexpr int kTileConfig = 17;

uint64_t EnabledStates() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

bool Bit(uint64_t bits, int bit) { return (bits >> bit & 1) != 0; }
#endif

}  // namespace

AmxFacts ProbeAmx() {
  AmxFacts facts;
#if defined(__x86_64__) && defined(__linux__)
  facts.x86 = true;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return facts;
  facts.tiles = Bit(d, 24);
  facts.bytes = Bit(d, 25);
  facts.floats = Bit(d, 22);
  if (!facts.tiles || !facts.bytes) return facts;
  const bool xgetbv = __get_cpuid(1, &a, &b, &c, &d) != 0 && Bit(c, 27);
  facts.saved = xgetbv && Bit(EnabledStates(), kTileConfig) && Bit(EnabledStates(), kTileData);
  if (!facts.saved) return facts;
  const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  facts.permission_errno = granted ? 0 : errno;
#endif
  return facts;
}

std::string WhyNoAmx(const AmxFacts& facts) {
  if (!facts.x86) return "AMX is for x86-64 CPUs under Linux";
  if (!facts.tiles || !facts.bytes) {
    std::string what = facts.tiles ? "" : "amx-tile";
    if (!facts.bytes) what += what.empty() ? "amx-int8" : ", amx-int8";
    return "the CPU has no " + what;
  }
  if (!facts.saved) return "the kernel does not save tiles of AMX when threads change";
  if (facts.permission_errno == 0) return "";
  std::string why = "the kernel refuses the permission for tiles of AMX: ";
  why += std::strerror(facts.permission_errno);
  if (facts.permission_errno == ENOSPC) {
    why += " (a thread's alternate signal stack is too small for tiles)";
  }
  return why;
}

}  // namespace hetcomp
