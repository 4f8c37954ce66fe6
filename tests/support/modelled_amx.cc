// Driver `amx` on modelled tiles. A test puts it in place of npu_amx.cc; no user gets it.
#include "modelled_tiles.h"
#include "npu/npu_driver.h"
#include "npu/npu_tile_driver.h"

namespace hetcomp {
namespace {

class ModelledAmx : public NpuDriver {
 public:
  const char* name() const override { return "amx"; }
  std::string WhyMissing() override { return ""; }
  std::unique_ptr<NpuKernel> Open(const NpuRegion& region) override {
    return OpenOnTiles<ModelledTiles>(region);
  }
};

}  // namespace

NpuDriver* AmxNpu() {
  static ModelledAmx driver;
  return &driver;
}

}  // namespace hetcomp
