// Part of an operator as an operator of its own: what an NPU computes of a task that it shares with
// the CPU.
#ifndef HETCOMP_NPU_CUT_H_
#define HETCOMP_NPU_CUT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "npu/npu_operator.h"

namespace hetcomp {

// The rows along which an operator can be cut: the outermost axis of its output of more than one
// element, the last one apart. `count` is 0 where it cannot be cut.
struct NpuCutRows {
  int axis = -1;
  int64_t count = 0;
  size_t bytes = 0;  // of the output, of each
};

NpuCutRows CutRowsOf(const NpuOperator& operation);

struct NpuPart {
  std::shared_ptr<const NpuOperator> operation;
  std::vector<size_t> operand_offsets;  // bytes, by operand
  size_t output_offset = 0;
};

// Rows [begin, end), 0 <= begin < end <= CutRowsOf(operation).count.
NpuPart CutRows(const NpuOperator& operation, int64_t begin, int64_t end);

// Whether an operator can be cut along the last axis of its output: a product of one group.
bool HasCutColumns(const NpuOperator& operation);

// Columns [begin, end), 0 <= begin < end <= operation.shape.back().
NpuPart CutColumns(const NpuOperator& operation, int64_t begin, int64_t end);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_CUT_H_
