// A region as NPU drivers see it: operators in order, on buffers that are the region's own.
#ifndef HETCOMP_NPU_REGION_H_
#define HETCOMP_NPU_REGION_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "model/model.h"
#include "npu/npu_context.h"
#include "npu/npu_operator.h"

namespace hetcomp {

// Memory behind one or more tensors; `constant` is null where the region computes it.
struct NpuBuffer {
  size_t bytes = 0;
  const char* constant = nullptr;
};

// A tensor within a buffer: `bytes` from `offset` to the buffer's end.
struct NpuView {
  int buffer = 0;
  size_t offset = 0;
  size_t bytes = 0;
};

struct NpuCall {
  std::shared_ptr<const NpuOperator> operation;
  std::vector<NpuView> operands;
  NpuView output;
};

// An input or output: rows of `row_bytes`, `pitch` apart in the buffer, without gaps outside.
struct NpuPort {
  int tensor = 0;
  size_t begin = 0;  // bytes of the tensor that are not in it, before those that are
  NpuView view;
  size_t rows = 0;
  size_t row_bytes = 0;
  size_t pitch = 0;
  std::vector<int64_t> shape;
  std::string dtype;

  size_t bytes() const { return rows * row_bytes; }
};

struct NpuRegion {
  std::string name;
  std::vector<NpuBuffer> buffers;
  std::vector<NpuCall> calls;
  std::vector<NpuPort> inputs;
  std::vector<NpuPort> outputs;
  // What a vendor's compiler made of it, null where the file has nothing on it. Its bytes are null
  // where there are none.
  const NpuContext* context = nullptr;
  const char* context_data = nullptr;
  size_t context_bytes = 0;
};

// The region of a step that CheckTable has accepted. `graph` and `constants` must outlive it.
NpuRegion MakeRegion(const Graph& graph, const Table& table, const NpuStep& step,
                     const char* constants);

// Rows of a port between its place at `buffer` and dense memory.
void GatherRows(const NpuPort& port, const char* place, char* dense);
void ScatterRows(const NpuPort& port, const char* dense, char* place);

// Between the names of its first task and its last.
std::string RegionName(const Graph& graph, const NpuStep& step);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_REGION_H_
