// Features of ARM CPUs that matter to kernels, and where Linux tells of them.
#ifndef HETCOMP_ARM_FEATURES_H_
#define HETCOMP_ARM_FEATURES_H_

#if defined(__aarch64__)

#include <sys/auxv.h>

namespace hetcomp {

struct ArmFeature {
  const char* name;    // Linux's
  unsigned long word;  // of getauxval
  int bit;
};

// Linux, Documentation/arch/arm64/elf_hwcaps.rst; numbers, as older headers lack some names.
constexpr ArmFeature kArmFeatures[] = {
    {"fp", AT_HWCAP, 0},        {"asimd", AT_HWCAP, 1},     {"fphp", AT_HWCAP, 9},
    {"asimdhp", AT_HWCAP, 10},  {"asimdrdm", AT_HWCAP, 12}, {"jscvt", AT_HWCAP, 13},
    {"fcma", AT_HWCAP, 14},     {"asimddp", AT_HWCAP, 20},  {"sve", AT_HWCAP, 22},
    {"asimdfhm", AT_HWCAP, 23}, {"sve2", AT_HWCAP2, 1},     {"i8mm", AT_HWCAP2, 13},
    {"bf16", AT_HWCAP2, 14},    {"sme", AT_HWCAP2, 23},     {"cssc", AT_HWCAP2, 34},
    {"mops", AT_HWCAP2, 43},
};

inline bool Has(const ArmFeature& feature) {
  return (getauxval(feature.word) >> feature.bit & 1) != 0;
}

}  // namespace hetcomp

#endif  // defined(__aarch64__)

#endif  // HETCOMP_ARM_FEATURES_H_
