#include "amx_instruction.h"

#include <cstring>

namespace hetcomp {
namespace {

constexpr const char* kNames[kAmxOperations] = {
    "ldtilecfg", "sttilecfg", "tilerelease", "tilezero", "tileloadd", "tilestored",
    "tdpbssd",   "tdpbsud",   "tdpbusd",     "tdpbuud",  "tdpbf16ps",
};

// Prefix VEX of three bytes, with the bits that are stored inverted as they are meant.
struct Vex {
  int r, x, b;  // fourth bits of registers
  int map;      // 2: 0F 38
  int w, vvvv, l;
  int pp;  // 0 none, 1: 66, 2: F3, 3: F2
};

Vex ReadVex(const unsigned char* code) {
  const int first = code[1], second = code[2];
  Vex vex;
  vex.r = ~first >> 7 & 1;
  vex.x = ~first >> 6 & 1;
  vex.b = ~first >> 5 & 1;
  vex.map = first & 31;
  vex.w = second >> 7;
  vex.vvvv = ~second >> 3 & 15;
  vex.l = second >> 2 & 1;
  vex.pp = second & 3;
  return vex;
}

struct ModRm {
  int mod, reg, rm;
};

ModRm ReadModRm(int byte) { return {byte >> 6, byte >> 3 & 7, byte & 7}; }

bool InMemory(const ModRm& modrm) { return modrm.mod != 3; }

int32_t Read32(const unsigned char* code) {
  int32_t number;
  std::memcpy(&number, code, sizeof number);
  return number;
}

// Reads the bytes of an operand in memory behind ModRM; returns how many.
int ReadMemory(const unsigned char* code, const Vex& vex, const ModRm& modrm, AmxInstruction* to) {
  int used = 0;
  int base = modrm.rm;
  if (modrm.rm == 4) {  // SIB
    const int sib = code[used++];
    const int index = (sib >> 3 & 7) + 8 * vex.x;
    to->index = index == 4 ? AmxInstruction::kNone : index;
    to->scale = 1 << (sib >> 6);
    base = sib & 7;
  }
  const bool no_base = modrm.mod == 0 && base == 5;
  to->base = no_base ? AmxInstruction::kNone : base + 8 * vex.b;
  to->from_end = no_base && modrm.rm == 5;
  if (modrm.mod == 1) {
    to->displacement = static_cast<signed char>(code[used]);
    return used + 1;
  }
  if (modrm.mod == 2 || no_base) {
    to->displacement = Read32(code + used);
    return used + 4;
  }
  return used;
}

// Opcode 49: configuration, and tilezero.
const char* Decode49(const Vex& vex, const ModRm& modrm, AmxInstruction* to) {
  if (InMemory(modrm)) {
    if (vex.pp > 1 || modrm.reg != 0 || vex.r != 0) return "opcode 49 has no such operand";
    to->operation = vex.pp == 0 ? AmxOperation::kLoadConfig : AmxOperation::kStoreConfig;
    return nullptr;
  }
  if (vex.pp == 3 && modrm.rm == 0 && vex.b == 0) {
    to->operation = AmxOperation::kZero;
    return nullptr;
  }
  if (vex.pp != 0 || modrm.reg != 0 || modrm.rm != 0) return "opcode 49 has no such operand";
  to->operation = AmxOperation::kRelease;
  return nullptr;
}

// Opcode 4B: between memory and tiles.
const char* Decode4b(const Vex& vex, const ModRm& modrm, AmxInstruction* to) {
  if (!InMemory(modrm) || modrm.rm != 4) return "tiles are loaded and stored by SIB";
  if (vex.pp == 0) return "opcode 4B wants a prefix";
  to->operation = vex.pp == 2 ? AmxOperation::kStore : AmxOperation::kLoad;
  return nullptr;
}

const char* DecodeDot(int opcode, const Vex& vex, const ModRm& modrm, AmxInstruction* to) {
  if (InMemory(modrm)) return "products are of tiles";
  if (vex.b != 0 || vex.vvvv > 7) return "there are eight tiles";
  constexpr AmxOperation kDots[] = {AmxOperation::kDotUU, AmxOperation::kDotUS,
                                    AmxOperation::kDotSU, AmxOperation::kDotSS};
  if (opcode == 0x5c && vex.pp != 2) return "of products of floats, only bfloat16's are emulated";
  to->operation = opcode == 0x5c ? AmxOperation::kDotBf16 : kDots[vex.pp];
  to->left = modrm.rm;
  to->right = vex.vvvv;
  return nullptr;
}

bool IsAmxOpcode(int opcode) {
  return opcode == 0x49 || opcode == 0x4b || opcode == 0x5c || opcode == 0x5e;
}

}  // namespace

const char* NameOf(AmxOperation operation) { return kNames[static_cast<int>(operation)]; }

const char* DecodeAmx(const unsigned char* code, AmxInstruction* instruction) {
  if (code[0] != 0xc4) return "no instruction of AMX";
  const Vex vex = ReadVex(code);
  const int opcode = code[3];
  if (vex.map != 2 || !IsAmxOpcode(opcode)) return "no instruction of AMX";
  if (vex.w != 0 || vex.l != 0) return "VEX.W and VEX.L are 0";
  const ModRm modrm = ReadModRm(code[4]);
  AmxInstruction found;
  const bool dot = opcode == 0x5c || opcode == 0x5e;
  const char* const wrong = dot              ? DecodeDot(opcode, vex, modrm, &found)
                            : opcode == 0x49 ? Decode49(vex, modrm, &found)
                                             : Decode4b(vex, modrm, &found);
  if (wrong != nullptr) return wrong;
  if (!dot && vex.vvvv != 0) return "VEX.vvvv names nothing";
  if (vex.r != 0) return "there are eight tiles";
  found.tile = modrm.reg;
  found.length = 5 + (InMemory(modrm) ? ReadMemory(code + 5, vex, modrm, &found) : 0);
  *instruction = found;
  return nullptr;
}

}  // namespace hetcomp
