// Convolutions and products for an engine that multiplies tiles.
#ifndef HETCOMP_NPU_TILE_STEP_H_
#define HETCOMP_NPU_TILE_STEP_H_

#include <memory>

#include "npu/npu_host_kernel.h"
#include "npu/npu_tiles.h"

namespace hetcomp {

// Null where the operator is none for tiles: a map, a reduction, a depthwise convolution.
std::unique_ptr<HostStep> MakeTileStep(const HostCall& call, std::unique_ptr<TileEngine> engine);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_TILE_STEP_H_
