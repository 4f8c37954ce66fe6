// A driver of NPUs that multiply tiles; what is no product runs as in the reference.
#ifndef HETCOMP_NPU_TILE_DRIVER_H_
#define HETCOMP_NPU_TILE_DRIVER_H_

#include <memory>
#include <utility>

#include "npu/npu_depthwise_step.h"
#include "npu/npu_host_kernel.h"
#include "npu/npu_tile_step.h"
#include "npu/npu_tiles.h"

namespace hetcomp {

template <typename Tiles>
std::unique_ptr<TileEngine> EngineFor(const NpuOperator& operation) {
  if (MultipliesFloats(operation)) return std::make_unique<TileEngineOf<Tiles, true>>();
  return std::make_unique<TileEngineOf<Tiles>>();
}

template <typename Tiles>
std::unique_ptr<NpuKernel> OpenOnTiles(const NpuRegion& region) {
  return MakeHostKernel(region, [](const HostCall& call) {
    auto step = MakeTileStep(call, EngineFor<Tiles>(*call.operation));
    if (step == nullptr) step = MakeDepthwiseStep(call);
    return step != nullptr ? std::move(step) : MakePlainStep(call);
  });
}

}  // namespace hetcomp

#endif  // HETCOMP_NPU_TILE_DRIVER_H_
