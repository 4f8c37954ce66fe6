// Driver `reference`: every operator by its definition, without a look at speed.
#include "npu/npu_driver.h"
#include "npu/npu_host_kernel.h"

namespace hetcomp {
namespace {

class ReferenceDriver : public NpuDriver {
 public:
  const char* name() const override { return "reference"; }
  std::string WhyMissing() override { return ""; }
  std::unique_ptr<NpuKernel> Open(const NpuRegion& region) override {
    return MakeHostKernel(region, MakePlainStep);
  }
};

}  // namespace

NpuDriver* ReferenceNpu() {
  static ReferenceDriver driver;
  return &driver;
}

}  // namespace hetcomp
