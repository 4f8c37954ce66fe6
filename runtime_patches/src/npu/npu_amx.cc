// Driver `amx`: Intel's tiles, a matrix engine within the CPU.
#include <algorithm>
#include <string>

#include "base/error.h"
#include "npu/npu_amx_probe.h"
#include "npu/npu_amx_tiles.h"
#include "npu/npu_driver.h"
#include "npu/npu_tile_driver.h"

namespace hetcomp {
namespace {

#if defined(__x86_64__)

std::unique_ptr<NpuKernel> OpenOnAmx(const NpuRegion& region) {
  const auto floats = [](const NpuCall& call) { return MultipliesFloats(*call.operation); };
  if (!ProbeAmx().floats && std::any_of(region.calls.begin(), region.calls.end(), floats)) {
    throw Error(ErrorKind::kDevice, "the CPU has no amx-bf16");
  }
  return OpenOnTiles<AmxTiles>(region);
}

#else

std::unique_ptr<NpuKernel> OpenOnAmx(const NpuRegion&) {
  throw Error(ErrorKind::kDevice, WhyNoAmx(ProbeAmx()));
}

#endif

class AmxDriver : public NpuDriver {
 public:
  const char* name() const override { return "amx"; }
  std::string WhyMissing() override { return WhyNoAmx(ProbeAmx()); }
  std::unique_ptr<NpuKernel> Open(const NpuRegion& region) override { return OpenOnAmx(region); }
};

}  // namespace

NpuDriver* AmxNpu() {
  static AmxDriver driver;
  return &driver;
}

}  // namespace hetcomp
