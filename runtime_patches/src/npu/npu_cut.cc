#include "npu/npu_cut.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace hetcomp {
namespace {

constexpr int kHeight = 1;  // axis of a map in NHWC

// Rows of the output, which are all axes but the last, within one place of `axis`.
int64_t RowsWithin(const NpuOperator& operation, int axis) {
  const auto first = operation.shape.begin() + axis + 1;
  const auto last = operation.shape.end() - 1;
  return first >= last ? 1 : std::accumulate(first, last, int64_t{1}, std::multiplies<int64_t>());
}

bool CutsCore(const NpuOperator& operation, int axis) {
  if (std::holds_alternative<NpuWindow>(operation.core)) return axis == kHeight;
  const auto* product = std::get_if<NpuProduct>(&operation.core);
  return product == nullptr || static_cast<size_t>(axis) >= product->batch.size();
}

// Rows of the map that a window's outputs [begin, end) read, cut out of it. Bytes that are skipped.
size_t CutWindow(int64_t begin, int64_t end, NpuWindow* window) {
  const int64_t first = begin * window->stride_h - window->pad_top;
  const int64_t behind = (end - 1) * window->stride_h - window->pad_top +
                         (window->kernel_h - 1) * window->dilation_h + 1;
  const int64_t skipped = std::clamp<int64_t>(first, 0, window->height - 1);
  window->height = std::max<int64_t>(1, std::min(window->height, behind) - skipped);
  window->pad_top = skipped - first;
  window->out_height = end - begin;
  const int64_t item = window->floats ? 2 : 1;
  return static_cast<size_t>(item * skipped * window->width * window->data_pitch);
}

// The values for outputs from `begin` on; `moved` is how far the operand `data` begins later.
void CutValues(int axis, int64_t begin, int data, size_t moved, std::vector<NpuValue>* values) {
  for (NpuValue& value : *values) {
    if (value.operation != NpuOperation::kLoad && value.operation != NpuOperation::kIndex) continue;
    value.offset += value.steps[static_cast<size_t>(axis)] * begin;
    if (value.operation == NpuOperation::kLoad && value.operand == data) {
      value.offset -= static_cast<int64_t>(moved / SizeOf(value.type));
    }
  }
}

// An operand, unless it is -1, begins `moved` bytes later, the output `written` bytes.
NpuPart PartOf(std::shared_ptr<const NpuOperator> operation, int operand, size_t moved,
               size_t written) {
  NpuPart part;
  part.operand_offsets.assign(operation->operands.size(), 0);
  if (operand >= 0) part.operand_offsets[static_cast<size_t>(operand)] = moved;
  part.output_offset = written;
  part.operation = std::move(operation);
  return part;
}

}  // namespace

NpuCutRows CutRowsOf(const NpuOperator& operation) {
  const auto last = operation.shape.end() - 1;
  const auto found =
      std::find_if(operation.shape.begin(), last, [](int64_t extent) { return extent > 1; });
  if (found == last) return {};
  const int axis = static_cast<int>(found - operation.shape.begin());
  if (!CutsCore(operation, axis)) return {};
  const int64_t pitch = RowsWithin(operation, axis) * operation.output_pitch;
  return {axis, *found, static_cast<size_t>(pitch) * SizeOf(operation.values.back().type)};
}

NpuPart CutRows(const NpuOperator& operation, int64_t begin, int64_t end) {
  const NpuCutRows rows = CutRowsOf(operation);
  auto part = std::make_shared<NpuOperator>(operation);
  part->shape[static_cast<size_t>(rows.axis)] = end - begin;
  int data = -1;
  size_t moved = 0;
  if (auto* window = std::get_if<NpuWindow>(&part->core)) {
    data = window->data;
    moved = CutWindow(begin, end, window);
  } else if (auto* product = std::get_if<NpuProduct>(&part->core)) {
    const int64_t each = RowsWithin(operation, rows.axis);
    data = product->left;
    moved = static_cast<size_t>((product->floats ? 2 : 1) * begin * each * product->left_pitch);
    product->rows = (end - begin) * each;
  } else if (auto* reduction = std::get_if<NpuReduction>(&part->core)) {
    CutValues(rows.axis, begin, data, moved, &reduction->values);
  }
  CutValues(rows.axis, begin, data, moved, &part->values);
  return PartOf(std::move(part), data, moved, static_cast<size_t>(begin) * rows.bytes);
}

bool HasCutColumns(const NpuOperator& operation) {
  const auto* window = std::get_if<NpuWindow>(&operation.core);
  return window != nullptr ? window->groups == 1
                           : std::holds_alternative<NpuProduct>(operation.core);
}

NpuPart CutColumns(const NpuOperator& operation, int64_t begin, int64_t end) {
  constexpr size_t kWord = 4;
  auto part = std::make_shared<NpuOperator>(operation);
  part->shape.back() = end - begin;
  auto* product = std::get_if<NpuProduct>(&part->core);
  if (product != nullptr) product->columns = end - begin;
  const int right = product != nullptr ? product->right : std::get<NpuWindow>(part->core).weights;
  const size_t first = static_cast<size_t>(begin);
  CutValues(static_cast<int>(part->shape.size()) - 1, begin, -1, 0, &part->values);
  const size_t item = SizeOf(operation.values.back().type);
  return PartOf(std::move(part), right, kWord * first, item * first);
}

}  // namespace hetcomp
