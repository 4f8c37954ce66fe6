// Every property of a step table that memory safety and termination rest on.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "lanes/tickets.h"
#include "model/model.h"
#include "npu/npu_cut.h"

namespace hetcomp {
namespace {

[[noreturn]] void Bad(const Table& table, const std::string& what) {
  ThrowInput("step table " + table.name + ": " + what);
}

// An alias may move with its root, see io_memory.h.
void CheckAlias(const Table& table, const Graph& graph, const Tensor& tensor, size_t offset) {
  const size_t index = static_cast<size_t>(tensor.root);
  const Tensor& root = graph.tensors[index];
  const size_t begin = table.offsets[index];
  if (offset >= begin && offset - begin <= root.size_bytes &&
      tensor.size_bytes <= root.size_bytes - (offset - begin)) {
    return;
  }
  Bad(table, "tensor " + tensor.name + " is not within " + root.name + ", whose memory it shares");
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
    if (tensor.alias && !tensor.constant) CheckAlias(table, graph, tensor, offset);
    if (offset % alignment != 0 || offset > limit || tensor.size_bytes > limit - offset) {
      Bad(table, "tensor " + tensor.name + " of " + std::to_string(tensor.size_bytes) +
                     " bytes at offset " + std::to_string(offset) + " does not fit " +
                     std::to_string(limit) + " bytes at alignment " + std::to_string(alignment));
    }
  }
}

bool InRange(int begin, int end, int extent) { return 0 <= begin && begin < end && end <= extent; }

std::string TilesOf(const Task& task, const Range& range) {
  return "task " + task.name + ": rows [" + std::to_string(range.row_begin) + ", " +
         std::to_string(range.row_end) + ") of " + std::to_string(task.rows) + ", channels [" +
         std::to_string(range.channel_begin) + ", " + std::to_string(range.channel_end) + ") of " +
         std::to_string(task.channels);
}

void CheckStep(const Table& table, const Graph& graph, const Step& step, bool gpu) {
  if (step.task < 0 || static_cast<size_t>(step.task) >= graph.tasks.size()) {
    Bad(table, "no task " + std::to_string(step.task));
  }
  const Task& task = graph.tasks[static_cast<size_t>(step.task)];
  const Range& range = step.range;
  if (!InRange(range.row_begin, range.row_end, task.rows) ||
      !InRange(range.channel_begin, range.channel_end, task.channels)) {
    Bad(table, TilesOf(task, range));
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

// Tickets need a counterpart on the other processor that takes from the same tiles, and work-items
// that may run any tile; a ticket must not end between two tiles that overlap, and who leaves none
// takes the last ones.
void CheckTickets(const Table& table, const Graph& graph, const Step& step,
                  const std::vector<Step>& own, const std::vector<Step>& others) {
  if (step.ticket == 0) return;
  const Task& task = graph.tasks[static_cast<size_t>(step.task)];
  const auto same_task = [&](const Step& other) { return other.task == step.task; };
  const auto partner = std::find_if(others.begin(), others.end(), same_task);
  if (std::count_if(own.begin(), own.end(), same_task) != 1 ||
      std::count_if(others.begin(), others.end(), same_task) != 1 ||
      partner->ticket != step.ticket || !SameRange(partner->range, step.range)) {
    Bad(table, "task " + task.name + " has tickets but not one equal step on either processor");
  }
  const bool by_rows = step.ticket > 0;
  const bool ragged = by_rows ? task.rows_ragged : task.channels_ragged;
  const int extent = by_rows ? task.rows : task.channels;
  if (std::abs(static_cast<long long>(step.ticket)) > extent ||
      (ragged && std::abs(step.ticket) < 2)) {
    Bad(table, "task " + task.name + ": tickets of " + std::to_string(std::abs(step.ticket)) +
                   " tiles of " + std::to_string(extent) + (ragged ? ", which overlap" : ""));
  }
  const int count = CountTickets(step);
  if (step.leave < 0 || step.leave > count || (step.leave > 0 && partner->leave > 0)) {
    Bad(table, "task " + task.name + ": of " + std::to_string(count) +
                   " tickets one processor leaves " + std::to_string(step.leave) +
                   " and the other one " + std::to_string(partner->leave) +
                   ", one of them must leave none");
  }
  const Kernel& kernel = graph.kernels[static_cast<size_t>(task.kernel)];
  if (kernel.items[0] * kernel.items[1] != 1) {
    Bad(table, "task " + task.name + ": work-groups of several items take no tickets");
  }
}

bool AreTensors(const std::vector<int>& list, const Graph& graph) {
  return std::all_of(list.begin(), list.end(), [&](int tensor) {
    return tensor >= 0 && static_cast<size_t>(tensor) < graph.tensors.size() &&
           !graph.tensors[static_cast<size_t>(tensor)].constant;
  });
}

// Whether it is known which bytes of the output row tiles write, and the operator can be cut there.
bool CanCutRows(const Graph& graph, const Task& task, const NpuOperator& operation) {
  const size_t n_inputs = static_cast<size_t>(task.n_inputs);
  const bool known = task.row_spans.size() > n_inputs && task.row_spans[n_inputs].has_value();
  const Tensor& output = graph.tensors[static_cast<size_t>(operation.output)];
  return known && output.pitch_bytes == 0 && CutRowsOf(operation).count > 0;
}

// The same of channel tiles: all of them have so many columns, but the last one.
bool CanCutColumns(const Task& task, const NpuOperator& operation) {
  if (!HasCutColumns(operation) || operation.shape.empty()) return false;
  const int64_t width = task.npu_columns, columns = operation.shape.back();
  return width > 0 && (columns + width - 1) / width == task.channels;
}

// A part of a task that the NPU shares with the CPU has some of its rows, or of its channels.
void CheckPart(const Table& table, const Graph& graph, const NpuStep& step) {
  const Range& part = step.part;
  if (SameRange(part, Range())) return;
  const Task& task = graph.tasks[static_cast<size_t>(step.tasks.front())];
  const NpuOperator& operation = *graph.operators[static_cast<size_t>(step.tasks.front())];
  const bool is_part = step.tasks.size() == 1 && InRange(part.row_begin, part.row_end, task.rows) &&
                       InRange(part.channel_begin, part.channel_end, task.channels);
  const bool all_rows = part.row_end - part.row_begin == task.rows;
  const bool all_channels = part.channel_end - part.channel_begin == task.channels;
  if (!is_part || all_rows == all_channels ||
      !(all_channels ? CanCutRows(graph, task, operation) : CanCutColumns(task, operation))) {
    Bad(table, TilesOf(task, part) + " cannot be on the NPU");
  }
}

void CheckRegion(const Table& table, const Graph& graph, const NpuStep& step) {
  if (step.tasks.empty()) Bad(table, "a region of the NPU has no tasks");
  for (int task : step.tasks) {
    if (task < 0 || static_cast<size_t>(task) >= graph.tasks.size()) {
      Bad(table, "no task " + std::to_string(task));
    }
    const auto& operation = graph.operators[static_cast<size_t>(task)];
    const std::string& name = graph.tasks[static_cast<size_t>(task)].name;
    if (operation == nullptr) Bad(table, "task " + name + " is on the NPU, which takes it not");
    if (!AreTensors({operation->output}, graph)) Bad(table, "task " + name + " writes a constant");
  }
  if (!AreTensors(step.inputs, graph) || !AreTensors(step.outputs, graph)) {
    Bad(table, "inputs and outputs of a region are no tensors of the arena");
  }
  CheckPart(table, graph, step);
}

// Every region is handed over once, and taken over once after that.
void CheckRegions(const Table& table, const Graph& graph) {
  for (const NpuStep& step : table.npu) CheckRegion(table, graph, step);
  for (const Step& step : table.gpu) {
    if (step.npu != 0) Bad(table, "the GPU cannot speak to the NPU");
  }
  std::vector<int> seen(table.npu.size(), 0);
  for (const Step& step : table.cpu) {
    if (step.npu == 0) continue;
    const size_t number = static_cast<size_t>(std::abs(static_cast<long long>(step.npu)));
    if (number > seen.size() || seen[number - 1] != (step.npu > 0 ? 0 : 1)) {
      Bad(table, "step " + std::to_string(step.npu) + " of the NPU comes out of order");
    }
    ++seen[number - 1];
  }
  if (std::any_of(seen.begin(), seen.end(), [](int times) { return times != 2; })) {
    Bad(table, "a region of the NPU is not handed over, or not waited for");
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
  CheckRegions(table, graph);
  for (const Step& step : table.cpu) CheckWait(table, step, table.gpu);
  for (const Step& step : table.gpu) CheckWait(table, step, table.cpu);
  for (const Step& step : table.cpu) CheckTickets(table, graph, step, table.cpu, table.gpu);
  for (const Step& step : table.gpu) CheckTickets(table, graph, step, table.gpu, table.cpu);
  if (!table.gpu.empty() && !table.gpu.back().signal) Bad(table, "the last GPU step must signal");
  CheckProgress(table);
}

}  // namespace hetcomp
