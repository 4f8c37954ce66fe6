// Driver `amx`: Intel's tiles, a matrix engine within the CPU.
#include <string>

#include "error.h"
#include "npu_amx_probe.h"
#include "npu_driver.h"
#include "npu_tile_driver.h"

namespace hetcomp {
namespace {

#if defined(__x86_64__)

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
};

std::unique_ptr<NpuKernel> OpenOnAmx(const NpuRegion& region) {
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
