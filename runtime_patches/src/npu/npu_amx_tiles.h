// AMX for TileEngineOf.
#ifndef HETCOMP_NPU_AMX_TILES_H_
#define HETCOMP_NPU_AMX_TILES_H_

#include "npu/npu_tiles.h"

#if defined(__x86_64__)

namespace hetcomp {

// The instructions, as assembly: GCC's intrinsics take tiles as literals only, and do not tell the
// compiler that tiles read and write memory.
class AmxTiles {
 public:
  HETCOMP_TILE_CODE void Configure(const TileConfig& config) {
    __asm__ volatile("ldtilecfg %0" ::"m"(config));
  }
  // Of a thread without tiles the kernel has less to save.
  HETCOMP_TILE_CODE void Release() { __asm__ volatile("tilerelease"); }

  template <int kTile>
  HETCOMP_TILE_CODE void Zero() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(kTile));
  }

  template <int kTile>
  HETCOMP_TILE_CODE void Load(const void* rows, int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(rows), "r"(stride), "i"(kTile)
                     : "memory");
  }

  template <int kTile>
  HETCOMP_TILE_CODE void Store(void* rows, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(rows), "r"(stride), "i"(kTile)
                     : "memory");
  }

  // Unsigned bytes of the left tile times signed ones of the right, in words of four.
  template <int kSums, int kLeft, int kRight>
  HETCOMP_TILE_CODE void Dot() {
    __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kLeft), "i"(kRight));
  }

  // Pairs of bfloat16, in the order that operators.py tells.
  template <int kSums, int kLeft, int kRight>
  HETCOMP_TILE_CODE void DotFloats() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kLeft),
                     "i"(kRight));
  }
};

}  // namespace hetcomp

#endif  // defined(__x86_64__)

#endif  // HETCOMP_NPU_AMX_TILES_H_
