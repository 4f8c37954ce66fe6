#include "amx_processor.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "amx_tile_state.h"

namespace hetcomp {
namespace {

constexpr long kSetCpuid = 0x1012;  // ARCH_SET_CPUID
constexpr uint64_t kTileStates = 3ull << 17;
constexpr uint32_t kTileLeaf = 0x1d, kProductLeaf = 0x1e;

// The C library's `syscall` is the emulator's own, and errno the interrupted code's.
long ArchPrctl(long code, long argument) {
  long result = SYS_arch_prctl;
  __asm__ volatile("syscall" : "+a"(result) : "D"(code), "S"(argument) : "rcx", "r11", "memory");
  return result;
}

bool Lists(const char* names, const char* name) {
  return names != nullptr && std::strstr(names, name) != nullptr;
}

}  // namespace

AmxMachine ReadAmxMachine() {
  const char* const without = std::getenv("AMX_EMULATOR_WITHOUT");
  AmxMachine machine;
  machine.tile = !Lists(without, "tile");
  machine.int8 = !Lists(without, "int8");
  machine.bf16 = !Lists(without, "bf16");
  machine.states = !Lists(without, "states");
  machine.permission = !Lists(without, "permission");
  return machine;
}

bool TrapCpuid(bool trap) { return ArchPrctl(kSetCpuid, trap ? 0 : 1) == 0; }

CpuidAnswer EmulatedCpuid(const AmxMachine& machine, uint32_t leaf, uint32_t subleaf) {
  CpuidAnswer answer;
  TrapCpuid(false);
  __cpuid_count(leaf, subleaf, answer.a, answer.b, answer.c, answer.d);
  TrapCpuid(true);
  if (leaf == 0) answer.a = std::max(answer.a, kProductLeaf);
  if (leaf == 7 && subleaf == 0) {
    answer.d |=
        uint32_t{machine.bf16} << 22 | uint32_t{machine.tile} << 24 | uint32_t{machine.int8} << 25;
  }
  constexpr uint32_t kRows = TileState::kRows, kBytes = TileState::kRowBytes;
  if (leaf == kTileLeaf && subleaf == 0) answer = {1, 0, 0, 0};  // palettes
  if (leaf == kTileLeaf && subleaf == 1) {
    const uint32_t tile_bytes = kRows * kBytes;
    answer = {TileState::kTiles * tile_bytes | tile_bytes << 16,
              kBytes | uint32_t{TileState::kTiles} << 16, kRows, 0};
  }
  if (leaf == kProductLeaf && subleaf == 0) answer = {0, kRows | kBytes << 8, 0, 0};
  return answer;
}

uint64_t EmulatedXcr0(const AmxMachine& machine) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const uint64_t states = static_cast<uint64_t>(high) << 32 | low;
  return machine.states ? states | kTileStates : states & ~kTileStates;
}

}  // namespace hetcomp
