// Executes Intel AMX on x86-64 Linux without it: LD_PRELOAD=libamx_emulator.so program...
//
// Every instruction of AMX traps (SIGILL); the handler executes it on the thread's emulated tiles
// and goes on behind it. CPUID traps too (SIGSEGV, by ARCH_SET_CPUID), and the code behind CPUID is
// run step by step (SIGTRAP) so that XGETBV can be answered. The permission for tiles is answered
// in `syscall`. So the program's own code runs, its probe included. Where the CPU would raise an
// exception the process ends by that signal, and says why.
//
// AMX_EMULATOR_WITHOUT names what the machine lacks: tile, int8, bf16, states, permission.
// AMX_EMULATOR_COUNTS is a file that gets a line `name count` for each instruction, at the end,
// `threads`, those that have configured tiles, and `left`, those of them that have not released.
//
// It shows that programs are right, never how fast they are. What it lacks: prefixes of segments
// and of the size of addresses, start rows, /proc/cpuinfo, the size of the state in CPUID's
// leaf 13.
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "amx_bf16.h"
#include "amx_instruction.h"
#include "amx_interposed.h"
#include "amx_processor.h"
#include "amx_tile_state.h"

namespace hetcomp {
namespace {

using Registers = greg_t*;

constexpr int kRegisters[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};
constexpr greg_t kTrapFlag = 1 << 8;
constexpr int kStepsBehindCpuid = 64;
constexpr uint32_t kFeatureLeaf = 1;  // which says whether there is XGETBV

std::atomic<int64_t> counts[kAmxOperations];
std::atomic<int64_t> threads{0}, left_configured{0};

// Of one thread; its memory is there from the thread's start, and needs no code to be made.
struct ThreadState {
  TileState tiles;
  bool seen;
  int steps;  // to go one by one
};
__attribute__((tls_model("initial-exec"))) thread_local ThreadState current;

void Say(const char* text) {
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) _exit(1);
}

// The process ends by that signal when the handler returns, or at once.
void End(int number, const char* where, const char* why) {
  Say("amx emulator: ");
  Say(where);
  Say(": ");
  Say(why);
  Say("\n");
  HandleNoMore(number);
  raise(number);
}

// The register's content; 0 where there is none.
int64_t Content(const Registers registers, int number) {
  return number == AmxInstruction::kNone ? 0 : registers[kRegisters[number]];
}

char* Address(const Registers registers, const AmxInstruction& instruction) {
  const int64_t end = instruction.from_end ? registers[REG_RIP] + instruction.length : 0;
  return reinterpret_cast<char*>(Content(registers, instruction.base) + end +
                                 instruction.displacement);
}

void CountThread() {
  if (!current.seen) threads.fetch_add(1, std::memory_order_relaxed);
  current.seen = true;
}

TileFault Configure(const char* config) {
  const bool before = current.tiles.configured();
  const TileFault fault = current.tiles.Configure(reinterpret_cast<const unsigned char*>(config));
  CountThread();
  left_configured.fetch_add(int{current.tiles.configured()} - int{before},
                            std::memory_order_relaxed);
  return fault;
}

TileFault Release() {
  if (current.tiles.configured()) left_configured.fetch_sub(1, std::memory_order_relaxed);
  return current.tiles.Release();
}

TileFault Execute(const AmxInstruction& instruction, const Registers registers) {
  TileState& tiles = current.tiles;
  const int sums = instruction.tile, left = instruction.left, right = instruction.right;
  char* const memory = Address(registers, instruction);
  char* const plus_index = memory + Content(registers, instruction.index) * instruction.scale;
  const int64_t stride = plus_index - memory;
  switch (instruction.operation) {
    case AmxOperation::kLoadConfig:
      return Configure(plus_index);
    case AmxOperation::kStoreConfig:
      tiles.StoreConfig(reinterpret_cast<unsigned char*>(plus_index));
      return {};
    case AmxOperation::kRelease:
      return Release();
    case AmxOperation::kZero:
      return tiles.Zero(sums);
    case AmxOperation::kLoad:
      return tiles.Load(sums, memory, stride);
    case AmxOperation::kStore:
      return tiles.Store(sums, memory, stride);
    case AmxOperation::kDotSS:
      return tiles.DotBytes(sums, left, right, true, true);
    case AmxOperation::kDotSU:
      return tiles.DotBytes(sums, left, right, true, false);
    case AmxOperation::kDotUS:
      return tiles.DotBytes(sums, left, right, false, true);
    case AmxOperation::kDotUU:
      return tiles.DotBytes(sums, left, right, false, false);
    case AmxOperation::kDotBf16:
      return DotBf16(&tiles, sums, left, right);
  }
  return Undefined("not emulated");
}

bool HasInstruction(AmxOperation operation) {
  const AmxMachine& machine = EmulatedMachine();
  if (!machine.tile || !machine.states) return false;
  if (operation == AmxOperation::kDotBf16) return machine.bf16;
  return operation < AmxOperation::kDotSS || machine.int8;
}

void OnIllegal(int number, siginfo_t* info, void* context) {
  const Registers registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  AmxInstruction instruction;
  const auto* code = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
  if (DecodeAmx(code, &instruction) != nullptr || !HasInstruction(instruction.operation)) {
    return HandOn(number, info, context);
  }
  do {  // instructions that follow each other save each other the trap
    const char* const name = NameOf(instruction.operation);
    if (!TilesArePermitted()) {
      return End(SIGILL, name, "the process has no permission for tiles");
    }
    if (const TileFault fault = Execute(instruction, registers)) {
      return End(fault.kind == TileFault::Kind::kUndefined ? SIGILL : SIGSEGV, name, fault.why);
    }
    counts[static_cast<int>(instruction.operation)].fetch_add(1, std::memory_order_relaxed);
    registers[REG_RIP] += instruction.length;
    code += instruction.length;
  } while (DecodeAmx(code, &instruction) == nullptr && HasInstruction(instruction.operation));
}

// CPUID; then XGETBV may follow.
void OnSegmentation(int number, siginfo_t* info, void* context) {
  const Registers registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* code = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
  // The kernel's signal, without an address; the instruction can be read.
  if (info->si_code != SI_KERNEL || code[0] != 0x0f || code[1] != 0xa2) {
    return HandOn(number, info, context);
  }
  const auto leaf = static_cast<uint32_t>(registers[REG_RAX]);
  const auto subleaf = static_cast<uint32_t>(registers[REG_RCX]);
  const CpuidAnswer answer = EmulatedCpuid(EmulatedMachine(), leaf, subleaf);
  registers[REG_RAX] = answer.a;
  registers[REG_RBX] = answer.b;
  registers[REG_RCX] = answer.c;
  registers[REG_RDX] = answer.d;
  registers[REG_RIP] += 2;
  if (leaf != kFeatureLeaf) return;
  current.steps = kStepsBehindCpuid;
  registers[REG_EFL] |= kTrapFlag;
}

// Before each instruction behind CPUID.
void OnStep(int number, siginfo_t* info, void* context) {
  if (current.steps == 0) return HandOn(number, info, context);
  const Registers registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* code = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
  if (code[0] == 0x0f && code[1] == 0x01 && code[2] == 0xd0 && registers[REG_RCX] == 0) {
    const uint64_t states = EmulatedXcr0(EmulatedMachine());
    registers[REG_RAX] = static_cast<greg_t>(states & 0xffffffff);
    registers[REG_RDX] = static_cast<greg_t>(states >> 32);
    registers[REG_RIP] += 3;
    current.steps = kStepsBehindCpuid;  // it may be asked for again
  }
  if (--current.steps == 0) registers[REG_EFL] &= ~kTrapFlag;
}

__attribute__((constructor)) void Begin() {
  EmulatedMachine();
  Handle(SIGILL, OnIllegal);
  Handle(SIGSEGV, OnSegmentation);
  Handle(SIGTRAP, OnStep);
  if (TrapCpuid(true)) return;
  Say("amx emulator: this CPU or kernel cannot trap CPUID\n");
  _exit(77);
}

__attribute__((destructor)) void WriteCounts() {
  const char* const path = std::getenv("AMX_EMULATOR_COUNTS");
  FILE* const file = path == nullptr ? nullptr : std::fopen(path, "w");
  if (file == nullptr) return;
  for (int i = 0; i < kAmxOperations; ++i) {
    std::fprintf(file, "%s %ld\n", NameOf(static_cast<AmxOperation>(i)), counts[i].load());
  }
  std::fprintf(file, "threads %ld\nleft %ld\n", threads.load(), left_configured.load());
  std::fclose(file);
}

}  // namespace
}  // namespace hetcomp
