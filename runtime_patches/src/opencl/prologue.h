// OpenCL text that goes in front of the model's kernels: how they wait and signal.
#ifndef HETCOMP_PROLOGUE_H_
#define HETCOMP_PROLOGUE_H_

#include <array>

#include "lanes/tier.h"

namespace hetcomp {

// One way of spelling the atomics that carry the epochs.
struct AtomicsSpelling {
  const char* name;
  const char* build_options;
  const char* macros;  // choose the definitions at the start of kPrologue
};

// In the order in which they are tried.
extern const std::array<AtomicsSpelling, 3> kAtomicsSpellings;

// Stands before all else: whether kernels get buffers, to whose beginnings they add offsets.
const char* MemoryMacros(MemoryKind memory);

// hetcomp_enter, hetcomp_leave and the runtime's own kernels; follows the macros.
extern const char* const kPrologue;

}  // namespace hetcomp

#endif  // HETCOMP_PROLOGUE_H_
