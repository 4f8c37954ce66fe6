// Task graph and step tables as the runtime needs them: the JSON of hetcomp/plan/, resolved.
#ifndef HETCOMP_MODEL_H_
#define HETCOMP_MODEL_H_

#include <tvm/ffi/c_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/byte_rect.h"
#include "npu/npu_context.h"
#include "npu/npu_operator.h"

namespace hetcomp {

// Alignment of every tensor: the largest that clSVMAlloc grants everywhere.
constexpr size_t kTensorAlignment = 128;

// Alignment of a slice of a tensor: what the CPU kernels assume of every pointer.
constexpr size_t kSliceAlignment = 64;

constexpr size_t kNoIoOffset = static_cast<size_t>(-1);

struct Tensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  size_t size_bytes = 0;
  bool constant = false;   // lives in the constants' block (of the root, for an alias)
  bool alias = false;      // shares the memory of another tensor, maybe from within it
  int root = 0;            // whose memory it is: itself, if it is no alias
  size_t pitch_bytes = 0;  // of a slice, between rows of the last axis; 0 = no gaps
  // Place of the root in the inputs' and outputs' own memory, see io_memory.h.
  size_t io_offset = kNoIoOffset;

  // Bytes of the last axis.
  size_t row_bytes() const;
};

// Bytes of a tensor without gaps that row tiles touch: tile i `size` from `begin + i * step` on.
// What lies before 0 or behind the end is padding.
struct RowSpan {
  int64_t begin = 0;
  int64_t step = 0;
  int64_t size = 0;

  ByteRun OfTiles(int first, int last) const;  // tiles [first, last)
};

struct Kernel {
  std::string symbol;
  int n_buffers = 0;
  bool opencl = false;
  std::array<int, 2> items{1, 1};  // work-items of an OpenCL work-group
  std::array<int, 2> tiles{1, 1};  // row and channel tiles of one; the last may have fewer
  TVMFFISafeCallType function = nullptr;
};

struct Task {
  std::string name;
  int kernel = 0;
  int n_inputs = 0;
  std::vector<int> buffers;  // inputs, then outputs: the kernel's pointer arguments
  int rows = 1;
  int channels = 1;
  bool rows_ragged = false;
  bool channels_ragged = false;
  // By position in `buffers`; none: all of it, or not known.
  std::vector<std::optional<RowSpan>> row_spans;
  int npu_columns = 0;  // of the output, in a channel tile; 0: not to be cut there for NPUs
};

struct Graph {
  std::vector<Tensor> tensors;
  std::vector<Kernel> kernels;
  std::vector<Task> tasks;
  std::vector<int> inputs;
  std::vector<int> outputs;
  size_t constants_bytes = 0;
  size_t io_bytes = 0;  // of all inputs and outputs with their own memory
  std::vector<std::shared_ptr<const NpuOperator>> operators;  // by task; null: not for NPUs
  std::string npu_driver;  // which the file was compiled for; "" = none
  std::vector<NpuContext> npu_contexts;
};

struct Range {
  int row_begin = 0;
  int row_end = 0;
  int channel_begin = 0;
  int channel_end = 0;
};

// Nearest boundary at or below `cut` that no two tiles share (Grid.legal_cut in Python).
inline int LegalCut(int cut, int extent, bool ragged) {
  return ragged && extent > 1 && cut == extent - 1 ? cut - 1 : cut;
}

inline bool SameRange(const Range& one, const Range& other) {
  return one.row_begin == other.row_begin && one.row_end == other.row_end &&
         one.channel_begin == other.channel_begin && one.channel_end == other.channel_end;
}

struct Step {
  int task = 0;
  Range range;
  int wait = 0;
  bool signal = true;
  int ticket = 0;  // rows (negative: channels) that either processor takes at a time, see tickets.h
  int leave = 0;   // tickets at the end that the other processor gets
  int cut = 0;     // where the tickets of both are expected to meet; 0: not known
  double predicted_us = 0.0;  // beside the other processor's steps; 0 = not known
  // Of the CPU: 0 = runs a kernel; k = hands the NPU's step k over, -k = waits for it and takes its
  // outputs over; `task` is the region's first.
  int npu = 0;
};

// A region that the NPU runs as one: tasks, what it reads of others, and what others read of it.
struct NpuStep {
  std::vector<int> tasks;
  std::vector<int> inputs;  // tensors
  std::vector<int> outputs;
  Range part;  // of its only task, the tiles that it computes; all 0: all of every task

  bool is_part() const { return part.row_end > 0; }
  // Of one of its tasks.
  Range RangeOf(const Task& task) const {
    return is_part() ? part : Range{0, task.rows, 0, task.channels};
  }
};

struct Table {
  std::string name;
  std::vector<Step> cpu;
  std::vector<Step> gpu;
  std::vector<NpuStep> npu;
  std::vector<size_t> offsets;
  size_t arena_bytes = 0;
  bool stands_in = true;  // when a processor becomes slower
};

struct Model {
  Graph graph;
  std::vector<Table> tables;  // the first is the default
  std::vector<int> cores;     // that inferences are to run on; empty = any
  std::string cpu_version;    // of the kernels, which this CPU can execute
};

// Whether this is the table to which the runtime can always fall back.
inline bool IsCpuTable(const Table& table) {
  return table.name == "cpu" && table.gpu.empty() && table.npu.empty();
}

// What a step does, for stats and traces.
std::string StepName(const Graph& graph, const Step& step);

// Parses the image's JSON, finds every kernel's function and checks every table.
Model ParseModel(std::string_view json, size_t constants_bytes);

// Parses one table and checks it against the graph.
Table ParseTable(std::string_view json, const Graph& graph);

// Throws Error(kInput) unless the table can run on the graph without leaving its memory or
// dead-locking: see table_check.cc.
void CheckTable(const Table& table, const Graph& graph);

}  // namespace hetcomp

#endif  // HETCOMP_MODEL_H_
