// Bytes and words of 16 lanes. Compilers convert these in few steps, but not in loops.
#ifndef HETCOMP_NPU_BLOCKS_H_
#define HETCOMP_NPU_BLOCKS_H_

#include <cstdint>

namespace hetcomp {

constexpr int kBlockLanes = 16;

using UnsignedBytes = uint8_t __attribute__((vector_size(kBlockLanes)));
using SignedBytes = int8_t __attribute__((vector_size(kBlockLanes)));
using Words = int32_t __attribute__((vector_size(kBlockLanes * sizeof(int32_t))));

}  // namespace hetcomp

#endif  // HETCOMP_NPU_BLOCKS_H_
