// The output of an NPU operator in memory: what becomes of accumulators, a row at a time.
#ifndef HETCOMP_NPU_ROWS_H_
#define HETCOMP_NPU_ROWS_H_

#include <cstdint>
#include <vector>

#include "npu/npu_host_kernel.h"
#include "npu/npu_values.h"

namespace hetcomp {

// A row is a run of elements along the output's last axis; rows count over all other axes.
class NpuRows {
 public:
  // Throws Error(kDevice) where the output does not fit its memory. Borrows the call.
  explicit NpuRows(const HostCall& call);

  int64_t rows() const { return rows_; }
  int64_t columns() const { return shape_.back(); }

  // The output's coordinates of the row's first element.
  const std::vector<int64_t>& At(int64_t row);

  // Elements [first, first + count), at most kNpuLanes of them; `accumulators` as for Compute.
  void Write(int64_t row, int64_t first, int count, const void* accumulators);

 private:
  const HostCall& call_;
  const std::vector<int64_t>& shape_;
  NpuEvaluator values_;
  const int64_t rows_;
  const size_t element_;
  const size_t pitch_;
  int64_t row_ = 0;  // where `at_` is
  std::vector<int64_t> at_;
};

}  // namespace hetcomp

#endif  // HETCOMP_NPU_ROWS_H_
