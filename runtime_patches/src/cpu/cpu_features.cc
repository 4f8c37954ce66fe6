#include "cpu/cpu_features.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/error.h"
#include "cpu/arm_features.h"

namespace hetcomp {
namespace {

#if defined(__x86_64__)

constexpr uint64_t kAvxState = 0x6;      // of XCR0: the kernel saves the registers of SSE and AVX
constexpr uint64_t kAvx512State = 0xe6;  // and masks, and all of AVX-512's

enum Register { kEax, kEbx, kEcx, kEdx };

struct Feature {
  const char* name;
  unsigned leaf, subleaf;
  Register where;
  int bit;
  uint64_t states;
};

// Intel's manual, volume 2A, CPUID.
constexpr Feature kFeatures[] = {
    {"fma", 1, 0, kEcx, 12, kAvxState},
    {"f16c", 1, 0, kEcx, 29, kAvxState},
    {"avx2", 7, 0, kEbx, 5, kAvxState},
    {"avx_vnni", 7, 1, kEax, 4, kAvxState},
    {"avx512f", 7, 0, kEbx, 16, kAvx512State},
    {"avx512dq", 7, 0, kEbx, 17, kAvx512State},
    {"avx512cd", 7, 0, kEbx, 28, kAvx512State},
    {"avx512bw", 7, 0, kEbx, 30, kAvx512State},
    {"avx512vl", 7, 0, kEbx, 31, kAvx512State},
    {"avx512_vnni", 7, 0, kEcx, 11, kAvx512State},
    {"avx512_fp16", 7, 0, kEdx, 23, kAvx512State},
    {"avx512_bf16", 7, 1, kEax, 5, kAvx512State},
};

uint64_t SavedStates() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr int kXgetbv = 27;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c >> kXgetbv & 1) == 0) return 0;
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

bool Has(const Feature& feature) {
  unsigned found[4] = {};
  if (__get_cpuid_count(feature.leaf, feature.subleaf, &found[kEax], &found[kEbx], &found[kEcx],
                        &found[kEdx]) == 0) {
    return false;
  }
  return (found[feature.where] >> feature.bit & 1) != 0 &&
         (SavedStates() & feature.states) == feature.states;
}

#elif defined(__aarch64__)

constexpr const auto& kFeatures = kArmFeatures;

#else

struct Feature {
  const char* name;
};

constexpr Feature kFeatures[] = {{""}};

bool Has(const Feature&) { return false; }

#endif

bool HasNamed(const std::string& name) {
  const auto* found = std::find_if(std::begin(kFeatures), std::end(kFeatures),
                                   [&](const auto& feature) { return name == feature.name; });
  if (found == std::end(kFeatures)) ThrowInternal("the CPU feature " + name + " is unknown here");
  return Has(*found);
}

// What is missing, as text.
std::string Missing(const std::vector<std::string>& needs) {
  std::string missing;
  for (const std::string& name : needs) {
    if (!HasNamed(name)) missing += (missing.empty() ? "" : ", ") + name;
  }
  return missing;
}

}  // namespace

size_t ChooseCpuVersion(const std::vector<CpuVersion>& versions) {
  std::string missing;
  for (size_t i = 0; i < versions.size(); ++i) {
    missing = Missing(versions[i].needs);
    if (missing.empty()) return i;
  }
  ThrowInput("the model was compiled for another CPU: this one lacks " + missing +
             "; compile it on this machine, or for this CPU (compile --target)");
}

}  // namespace hetcomp
