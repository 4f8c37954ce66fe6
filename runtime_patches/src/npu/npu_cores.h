// The accumulators of NPU operators in plain C++: products, windows and reductions.
#ifndef HETCOMP_NPU_CORES_H_
#define HETCOMP_NPU_CORES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "npu/npu_operator.h"
#include "npu/npu_values.h"

namespace hetcomp {

// Computes accumulators of one operator, some elements along the output's last axis at a time.
class NpuCore {
 public:
  virtual ~NpuCore() = default;
  // Of elements [at.back(), at.back() + count); `at` are the output's coordinates.
  virtual void Accumulate(const std::vector<NpuArray>& operands, const std::vector<int64_t>& at,
                          int count, NpuLanes* accumulators) = 0;
};

// Where a row of a product's operands begins: elements of the left one, words of the right one.
struct NpuPlaces {
  int64_t left, right;
};
NpuPlaces PlacesOf(const NpuProduct& product, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& at);

// Of an operator that MultipliesFloats.
std::unique_ptr<NpuCore> MakeFloatCore(const NpuOperator& operation);

// Null for a kind without accumulators.
std::unique_ptr<NpuCore> MakeNpuCore(const NpuOperator& operation);

// Throws Error(kDevice) unless the core stays within operands of these sizes, and fits the shape.
void CheckNpuCore(const NpuOperator& operation, const std::vector<size_t>& operand_bytes);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_CORES_H_
