#include "npu/npu_host_kernel.h"

#include <utility>

#include "npu/npu_cores.h"
#include "npu/npu_lines.h"

namespace hetcomp {
namespace {

class HostKernel : public NpuKernel {
 public:
  HostKernel(const NpuRegion& region, const HostStepMaker& make_step) : region_(region) {
    for (const NpuBuffer& buffer : region_.buffers) {
      if (buffer.constant == nullptr) own_.emplace_back(buffer.bytes + kHostSlack);
      places_.push_back(buffer.constant == nullptr ? own_.back().data()
                                                   : const_cast<char*>(buffer.constant));
    }
    for (const NpuCall& call : region_.calls) steps_.push_back(make_step(Resolve(call)));
  }

  void Run(const char* const* inputs, char* const* outputs,
           const std::atomic<bool>& abandoned) override {
    for (size_t i = 0; i < region_.inputs.size(); ++i) {
      ScatterRows(region_.inputs[i], inputs[i], Place(region_.inputs[i].view));
    }
    for (const std::unique_ptr<HostStep>& step : steps_) {
      if (abandoned.load(std::memory_order_relaxed)) return;
      step->Run();
    }
    for (size_t i = 0; i < region_.outputs.size(); ++i) {
      GatherRows(region_.outputs[i], Place(region_.outputs[i].view), outputs[i]);
    }
  }

 private:
  char* Place(const NpuView& view) const {
    return places_[static_cast<size_t>(view.buffer)] + view.offset;
  }

  HostCall Resolve(const NpuCall& call) const {
    HostCall result;
    result.operation = call.operation;
    std::vector<size_t> sizes;
    for (const NpuView& view : call.operands) {
      result.operands.push_back({Place(view), view.bytes});
      sizes.push_back(view.bytes);
      const NpuBuffer& buffer = region_.buffers[static_cast<size_t>(view.buffer)];
      result.constant.push_back(buffer.constant != nullptr);
    }
    CheckNpuCore(*call.operation, sizes);
    result.output = Place(call.output);
    result.output_bytes = call.output.bytes;
    return result;
  }

  const NpuRegion region_;
  std::vector<NpuLines> own_;
  std::vector<char*> places_;  // of all buffers
  std::vector<std::unique_ptr<HostStep>> steps_;
};

}  // namespace

std::unique_ptr<NpuKernel> MakeHostKernel(const NpuRegion& region, const HostStepMaker& make_step) {
  return std::make_unique<HostKernel>(region, make_step);
}

}  // namespace hetcomp
