#include "npu/npu_rows.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.h"

namespace hetcomp {

NpuRows::NpuRows(const HostCall& call)
    : call_(call),
      shape_(call.operation->shape),
      values_(call.operation->values),
      rows_(std::accumulate(shape_.begin(), shape_.end() - 1, int64_t{1},
                            std::multiplies<int64_t>())),
      element_(SizeOf(values_.type())),
      pitch_(static_cast<size_t>(call.operation->output_pitch) * element_),
      at_(shape_.size(), 0) {
  const size_t row_bytes = static_cast<size_t>(columns()) * element_;
  if (pitch_ >= row_bytes &&
      static_cast<size_t>(rows_ - 1) * pitch_ + row_bytes <= call.output_bytes) {
    return;
  }
  throw Error(ErrorKind::kDevice, "NPU operator does not fit its output");
}

const std::vector<int64_t>& NpuRows::At(int64_t row) {
  // Mostly a row is asked for again, or the next one.
  int64_t carry = row - row_;
  for (size_t axis = at_.size() - 1; carry != 0 && axis-- > 0;) {
    const int64_t place = at_[axis] + carry;
    carry = place / shape_[axis] - (place % shape_[axis] < 0 ? 1 : 0);
    at_[axis] = place - carry * shape_[axis];
  }
  row_ = row;
  at_.back() = 0;
  return at_;
}

void NpuRows::Write(int64_t row, int64_t first, int count, const void* accumulators) {
  At(row);
  at_.back() = first;
  const int axis = static_cast<int>(at_.size()) - 1;
  const NpuLanes& lanes = values_.Compute(call_.operands, at_, axis, count, accumulators);
  StoreLanes(
      lanes, values_.type(), count,
      call_.output + static_cast<size_t>(row) * pitch_ + static_cast<size_t>(first) * element_);
}

}  // namespace hetcomp
