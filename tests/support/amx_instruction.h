// Instructions of Intel AMX in machine code.
#ifndef HETCOMP_TESTS_AMX_INSTRUCTION_H_
#define HETCOMP_TESTS_AMX_INSTRUCTION_H_

#include <cstdint>

namespace hetcomp {

enum class AmxOperation {
  kLoadConfig,   // ldtilecfg
  kStoreConfig,  // sttilecfg
  kRelease,      // tilerelease
  kZero,         // tilezero
  kLoad,         // tileloadd, and tileloaddt1, which differs in a hint
  kStore,        // tilestored
  kDotSS,        // tdpbssd: the left operand's sign, then the right one's
  kDotSU,        // tdpbsud
  kDotUS,        // tdpbusd
  kDotUU,        // tdpbuud
  kDotBf16,      // tdpbf16ps
};
constexpr int kAmxOperations = 11;

const char* NameOf(AmxOperation operation);

struct AmxInstruction {
  static constexpr int kNone = -1;

  AmxOperation operation = AmxOperation::kRelease;
  int length = 0;  // bytes
  int tile = 0;    // what is zeroed, loaded or stored, or the sums
  int left = 0;
  int right = 0;
  // Memory: registers by number; both may be absent.
  int base = kNone;
  int index = kNone;
  int scale = 1;
  bool from_end = false;  // the displacement counts from the instruction's end
  int64_t displacement = 0;
};

// Null: `*instruction` is what begins at `code`, of which 11 bytes may be read as far as they
// belong to it. Else why the CPU has no such instruction, or no AMX's. Without prefixes of segments
// or of the size of addresses.
const char* DecodeAmx(const unsigned char* code, AmxInstruction* instruction);

}  // namespace hetcomp

#endif  // HETCOMP_TESTS_AMX_INSTRUCTION_H_
