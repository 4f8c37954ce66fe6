// Every operator as hetcomp/npu/operators.py defines it, in portable C++.
#include <algorithm>
#include <vector>

#include "npu/npu_cores.h"
#include "npu/npu_host_kernel.h"
#include "npu/npu_rows.h"

namespace hetcomp {
namespace {

class PlainStep : public HostStep {
 public:
  explicit PlainStep(const HostCall& call)
      : call_(call), core_(MakeNpuCore(*call_.operation)), rows_(call_) {}

  void Run() override {
    for (int64_t row = 0; row < rows_.rows(); ++row) RunRow(row);
  }

 private:
  void RunRow(int64_t row) {
    for (int64_t first = 0; first < rows_.columns(); first += kNpuLanes) {
      const int count = static_cast<int>(std::min<int64_t>(kNpuLanes, rows_.columns() - first));
      if (core_ != nullptr) {
        at_ = rows_.At(row);
        at_.back() = first;
        core_->Accumulate(call_.operands, at_, count, &accumulators_);
      }
      rows_.Write(row, first, count, &accumulators_);
    }
  }

  const HostCall call_;
  const std::unique_ptr<NpuCore> core_;
  NpuRows rows_;
  std::vector<int64_t> at_;
  NpuLanes accumulators_{};
};

}  // namespace

std::unique_ptr<HostStep> MakePlainStep(const HostCall& call) {
  return std::make_unique<PlainStep>(call);
}

}  // namespace hetcomp
