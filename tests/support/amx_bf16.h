// tdpbf16ps, as Intel's manual has it.
#ifndef HETCOMP_TESTS_AMX_BF16_H_
#define HETCOMP_TESTS_AMX_BF16_H_

#include "amx_tile_state.h"

namespace hetcomp {

// Products of bfloat16 in pairs: the sums of the first ones and of the second ones of all pairs,
// each by fused multiply-adds from 0 on, are added, then added to the sums. Denormals count as 0
// and become 0; the thread's MXCSR stays as it is. On x86-64 only, with FMA.
TileFault DotBf16(TileState* tiles, int sums, int left, int right);

}  // namespace hetcomp

#endif  // HETCOMP_TESTS_AMX_BF16_H_
