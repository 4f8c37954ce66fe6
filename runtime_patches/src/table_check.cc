// Every property of a step table that memory safety and termination rest on.
#include <cstddef>
#include <string>

#include "error.h"
#include "model.h"

namespace hetcomp {
namespace {

[[noreturn]] void Bad(const Table& table, const std::string& what) {
  ThrowInput("step table " + table.name + ": " + what);
}

void CheckMemory(const Table& table, const Graph& graph) {
  if (table.offsets.size() != graph.tensors.size()) {
    Bad(table, std::to_string(table.offsets.size()) + " offsets for " +
                   std::to_string(graph.tensors.size()) + " tensors");
  }
  for (size_t i = 0; i < graph.tensors.size(); ++i) {
    const Tensor& tensor = graph.tensors[i];
    const size_t limit = tensor.constant ? graph.constants_bytes : table.arena_bytes;
    const size_t offset = table.offsets[i];
    const size_t alignment = tensor.alias ? kSliceAlignment : kTensorAlignment;
    if (offset % alignment != 0 || offset > limit || tensor.size_bytes > limit - offset) {
      Bad(table, "tensor " + tensor.name + " of " + std::to_string(tensor.size_bytes) +
                     " bytes at offset " + std::to_string(offset) + " does not fit " +
                     std::to_string(limit) + " bytes at alignment " + std::to_string(alignment));
    }
  }
}

bool InRange(int begin, int end, int extent) { return 0 <= begin && begin < end && end <= extent; }

void CheckStep(const Table& table, const Graph& graph, const Step& step, bool gpu) {
  if (step.task < 0 || static_cast<size_t>(step.task) >= graph.tasks.size()) {
    Bad(table, "no task " + std::to_string(step.task));
  }
  const Task& task = graph.tasks[static_cast<size_t>(step.task)];
  const Range& range = step.range;
  if (!InRange(range.row_begin, range.row_end, task.rows) ||
      !InRange(range.channel_begin, range.channel_end, task.channels)) {
    Bad(table, "task " + task.name + ": rows [" + std::to_string(range.row_begin) + ", " +
                   std::to_string(range.row_end) + ") of " + std::to_string(task.rows) +
                   ", channels [" + std::to_string(range.channel_begin) + ", " +
                   std::to_string(range.channel_end) + ") of " + std::to_string(task.channels));
  }
  if (gpu && !graph.kernels[static_cast<size_t>(task.kernel)].opencl) {
    Bad(table, "task " + task.name + " is on the GPU but its kernel has no OpenCL version");
  }
}

// The step that a wait names must exist and publish its completion.
void CheckWait(const Table& table, const Step& step, const std::vector<Step>& others) {
  if (step.wait == 0) return;
  if (step.wait < 0 || static_cast<size_t>(step.wait) > others.size()) {
    Bad(table, "a step waits for " + std::to_string(step.wait) + " of " +
                   std::to_string(others.size()) + " steps");
  }
  if (!others[static_cast<size_t>(step.wait) - 1].signal) {
    Bad(table, "a step waits for step " + std::to_string(step.wait) +
                   " of the other processor, which does not signal");
  }
}

// Walks both lists as the processors would; neither may end up waiting for ever.
void CheckProgress(const Table& table) {
  size_t cpu = 0;
  size_t gpu = 0;
  for (bool moved = true; moved;) {
    moved = false;
    while (cpu < table.cpu.size() && static_cast<size_t>(table.cpu[cpu].wait) <= gpu) {
      ++cpu;
      moved = true;
    }
    while (gpu < table.gpu.size() && static_cast<size_t>(table.gpu[gpu].wait) <= cpu) {
      ++gpu;
      moved = true;
    }
  }
  if (cpu == table.cpu.size() && gpu == table.gpu.size()) return;
  Bad(table, "dead-lock: CPU step " + std::to_string(cpu) + " and GPU step " + std::to_string(gpu) +
                 " wait for each other");
}

}  // namespace

void CheckTable(const Table& table, const Graph& graph) {
  CheckMemory(table, graph);
  for (const Step& step : table.cpu) CheckStep(table, graph, step, /*gpu=*/false);
  for (const Step& step : table.gpu) CheckStep(table, graph, step, /*gpu=*/true);
  for (const Step& step : table.cpu) CheckWait(table, step, table.gpu);
  for (const Step& step : table.gpu) CheckWait(table, step, table.cpu);
  if (!table.gpu.empty() && !table.gpu.back().signal) Bad(table, "the last GPU step must signal");
  CheckProgress(table);
}

}  // namespace hetcomp
