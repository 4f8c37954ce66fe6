// Whether this process may use AMX: what the CPU, its setting and the kernel say.
#ifndef HETCOMP_NPU_AMX_PROBE_H_
#define HETCOMP_NPU_AMX_PROBE_H_

#include <string>

namespace hetcomp {

// As far as it was asked: each question needs a yes to the one before it.
struct AmxFacts {
  bool x86 = false;
  bool tiles = false;        // CPUID: amx-tile
  bool bytes = false;        // CPUID: amx-int8
  bool floats = false;       // CPUID: amx-bf16
  bool saved = false;        // XCR0: the kernel keeps tiles when threads change
  int permission_errno = 0;  // of arch_prctl; 0: granted
};

// Asks for the permission, which then holds for the whole process and stays.
AmxFacts ProbeAmx();

// "" where it may be used; products of bfloat16 want `floats` too.
std::string WhyNoAmx(const AmxFacts& facts);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_AMX_PROBE_H_
