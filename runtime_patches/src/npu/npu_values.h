// Computes the values of an NPU operator for many elements along the output's last axis at once.
#ifndef HETCOMP_NPU_VALUES_H_
#define HETCOMP_NPU_VALUES_H_

#include <cstdint>
#include <vector>

#include "npu/npu_operator.h"

namespace hetcomp {

// An operand in memory.
struct NpuArray {
  const char* data = nullptr;
  size_t bytes = 0;
};

constexpr int kNpuLanes = 128;

// One value of that many elements: integers of all types as int32.
union NpuLanes {
  alignas(64) int32_t i[kNpuLanes];
  float f[kNpuLanes];
};

// Not thread-safe: it has the memory of its values.
class NpuEvaluator {
 public:
  // Borrows `values`.
  explicit NpuEvaluator(const std::vector<NpuValue>& values)
      : values_(values), lanes_(values.size()) {}

  // Elements [at[axis], at[axis] + count) along `axis`, which is the last one of the output or -1
  // where that is a scalar; `count` is at most kNpuLanes. Returns the last value. `accumulators`
  // are `count` ints or floats by the type of "acc"; null where there is none.
  const NpuLanes& Compute(const std::vector<NpuArray>& operands, const std::vector<int64_t>& at,
                          int axis, int count, const void* accumulators);

  NpuType type() const { return values_.back().type; }

 private:
  const std::vector<NpuValue>& values_;
  std::vector<NpuLanes> lanes_;
};

// Writes `count` elements in their own type.
void StoreLanes(const NpuLanes& lanes, NpuType type, int count, char* place);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_VALUES_H_
