// Driver `reference`: every operator as hetcomp/npu/operators.py defines it, in portable C++.
#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "error.h"
#include "npu_cores.h"
#include "npu_driver.h"
#include "npu_values.h"

namespace hetcomp {
namespace {

// One operator on buffers whose addresses stay.
class OperatorRun {
 public:
  OperatorRun(const NpuCall& call, const std::vector<char*>& buffers)
      : call_(call), values_(call.operation->values), core_(MakeNpuCore(*call.operation)) {
    std::vector<size_t> sizes;
    for (const NpuView& view : call.operands) {
      operands_.push_back({buffers[static_cast<size_t>(view.buffer)] + view.offset, view.bytes});
      sizes.push_back(view.bytes);
    }
    output_ = buffers[static_cast<size_t>(call.output.buffer)] + call.output.offset;
    CheckNpuCore(*call.operation, sizes);
    CheckOutput();
  }

  void Run() {
    std::vector<int64_t> at(call_.operation->shape.size(), 0);
    const int64_t rows = Rows();
    for (int64_t row = 0; row < rows; ++row) {
      RunRow(row, &at);
      for (size_t axis = at.size() - 1; axis-- > 0;) {
        if (++at[axis] < call_.operation->shape[axis]) break;
        at[axis] = 0;
      }
    }
  }

 private:
  const std::vector<int64_t>& shape() const { return call_.operation->shape; }

  int64_t Rows() const {
    return std::accumulate(shape().begin(), shape().end() - 1, int64_t{1},
                           std::multiplies<int64_t>());
  }

  size_t pitch_bytes() const {
    return static_cast<size_t>(call_.operation->output_pitch) * SizeOf(values_.type());
  }

  void CheckOutput() const {
    const size_t row_bytes = static_cast<size_t>(shape().back()) * SizeOf(values_.type());
    const size_t rows = static_cast<size_t>(Rows());
    if (pitch_bytes() >= row_bytes &&
        (rows - 1) * pitch_bytes() + row_bytes <= call_.output.bytes) {
      return;
    }
    throw Error(ErrorKind::kDevice, "NPU operator does not fit its output");
  }

  void RunRow(int64_t row, std::vector<int64_t>* at) {
    const int axis = static_cast<int>(at->size()) - 1;
    char* const place = output_ + static_cast<size_t>(row) * pitch_bytes();
    for (int64_t first = 0; first < shape().back(); first += kNpuLanes) {
      const int count = static_cast<int>(std::min<int64_t>(kNpuLanes, shape().back() - first));
      at->back() = first;
      if (core_ != nullptr) core_->Accumulate(operands_, *at, count, &accumulators_);
      const NpuLanes& lanes = values_.Compute(operands_, *at, axis, count, &accumulators_);
      StoreLanes(lanes, values_.type(), count,
                 place + static_cast<size_t>(first) * SizeOf(values_.type()));
    }
    at->back() = 0;
  }

  const NpuCall& call_;
  NpuEvaluator values_;
  const std::unique_ptr<NpuCore> core_;
  std::vector<NpuArray> operands_;
  char* output_ = nullptr;
  NpuLanes accumulators_{};
};

class ReferenceKernel : public NpuKernel {
 public:
  explicit ReferenceKernel(const NpuRegion& region) : region_(region) {
    for (const NpuBuffer& buffer : region_.buffers) {
      if (buffer.constant == nullptr) own_.emplace_back(buffer.bytes);
      // Constants are read only: no operator's output is one, see CheckTable.
      buffers_.push_back(buffer.constant == nullptr ? own_.back().data()
                                                    : const_cast<char*>(buffer.constant));
    }
    for (const NpuCall& call : region_.calls) {
      steps_.push_back(std::make_unique<OperatorRun>(call, buffers_));
    }
  }

  void Run(const char* const* inputs, char* const* outputs,
           const std::atomic<bool>& abandoned) override {
    for (size_t i = 0; i < region_.inputs.size(); ++i) {
      ScatterRows(region_.inputs[i], inputs[i], Place(region_.inputs[i]));
    }
    for (const std::unique_ptr<OperatorRun>& step : steps_) {
      if (abandoned.load(std::memory_order_relaxed)) return;
      step->Run();
    }
    for (size_t i = 0; i < region_.outputs.size(); ++i) {
      GatherRows(region_.outputs[i], Place(region_.outputs[i]), outputs[i]);
    }
  }

 private:
  char* Place(const NpuPort& port) const {
    return buffers_[static_cast<size_t>(port.view.buffer)] + port.view.offset;
  }

  const NpuRegion region_;
  std::vector<std::vector<char>> own_;
  std::vector<char*> buffers_;
  std::vector<std::unique_ptr<OperatorRun>> steps_;
};

class ReferenceDriver : public NpuDriver {
 public:
  const char* name() const override { return "reference"; }
  std::string WhyMissing() override { return ""; }
  std::unique_ptr<NpuKernel> Open(const NpuRegion& region) override {
    return std::make_unique<ReferenceKernel>(region);
  }
};

}  // namespace

NpuDriver* ReferenceNpu() {
  static ReferenceDriver driver;
  return &driver;
}

}  // namespace hetcomp
