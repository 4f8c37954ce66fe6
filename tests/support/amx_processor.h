// What CPU and kernel say of AMX, as a machine with it: CPUID, XCR0 and the permission.
#ifndef HETCOMP_TESTS_AMX_PROCESSOR_H_
#define HETCOMP_TESTS_AMX_PROCESSOR_H_

#include <cstdint>

namespace hetcomp {

// What the machine has; `AMX_EMULATOR_WITHOUT` takes parts away, by these names.
struct AmxMachine {
  bool tile = true, int8 = true, bf16 = true;  // of the CPU
  bool states = true;                          // saved by the kernel
  bool permission = true;                      // given by the kernel
};

struct CpuidAnswer {
  uint32_t a, b, c, d;
};

// Of the environment; at the process's start.
AmxMachine ReadAmxMachine();

// CPUID raises SIGSEGV in this thread and those it starts, or does not. Whether the CPU can.
bool TrapCpuid(bool trap);

// What follows is for signal handlers too. CPUID must be trapped.
CpuidAnswer EmulatedCpuid(const AmxMachine& machine, uint32_t leaf, uint32_t subleaf);
uint64_t EmulatedXcr0(const AmxMachine& machine);

}  // namespace hetcomp

#endif  // HETCOMP_TESTS_AMX_PROCESSOR_H_
