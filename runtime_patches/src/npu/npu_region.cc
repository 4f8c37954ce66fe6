#include "npu/npu_region.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "npu/npu_cut.h"

namespace hetcomp {
namespace {

// Gives each root tensor a buffer when it is first seen.
class Builder {
 public:
  Builder(const Graph& graph, const Table& table, const char* constants, NpuRegion* region)
      : graph_(graph), table_(table), constants_(constants), region_(region) {}

  NpuView View(int index) {
    const size_t tensor = static_cast<size_t>(index);
    const size_t root = static_cast<size_t>(graph_.tensors[tensor].root);
    const int buffer = BufferOf(root);
    const size_t offset = table_.offsets[tensor] - table_.offsets[root];
    return {buffer, offset, region_->buffers[static_cast<size_t>(buffer)].bytes - offset};
  }

  NpuPort Port(int index) {
    const Tensor& tensor = graph_.tensors[static_cast<size_t>(index)];
    NpuPort port;
    port.tensor = index;
    port.view = View(index);
    port.shape = tensor.shape;
    port.dtype = tensor.dtype;
    port.row_bytes = tensor.pitch_bytes == 0 ? tensor.size_bytes : tensor.row_bytes();
    port.rows = port.row_bytes == 0 ? 0 : tensor.size_bytes / port.row_bytes;
    port.pitch = tensor.pitch_bytes == 0 ? tensor.size_bytes : tensor.pitch_bytes;
    return port;
  }

 private:
  int BufferOf(size_t root) {
    const auto [found, is_new] = numbers_.try_emplace(root, static_cast<int>(numbers_.size()));
    if (is_new) {
      const Tensor& tensor = graph_.tensors[root];
      const char* data = tensor.constant ? constants_ + table_.offsets[root] : nullptr;
      region_->buffers.push_back({tensor.size_bytes, data});
    }
    return found->second;
  }

  const Graph& graph_;
  const Table& table_;
  const char* const constants_;
  NpuRegion* const region_;
  std::map<size_t, int> numbers_;
};

void AddContext(const Graph& graph, const Table& table, const NpuStep& step, const char* constants,
                NpuRegion* region) {
  region->context = FindNpuContext(graph, step.tasks);
  if (region->context == nullptr || region->context->tensor < 0) return;
  const size_t tensor = static_cast<size_t>(region->context->tensor);
  region->context_data = constants + table.offsets[tensor];
  region->context_bytes = graph.tensors[tensor].size_bytes;
}

// Bytes of a task's parameter that the region's tiles touch; all where that is not known.
ByteRun TouchedBy(const Graph& graph, const NpuStep& step, const Task& task, size_t position) {
  const Tensor& tensor = graph.tensors[static_cast<size_t>(task.buffers[position])];
  const ByteRun all{0, tensor.size_bytes};
  if (position >= task.row_spans.size() || !task.row_spans[position] || tensor.pitch_bytes != 0) {
    return all;
  }
  const ByteRun run = task.row_spans[position]->OfTiles(step.part.row_begin, step.part.row_end);
  return {std::min(run.begin, all.end), std::min(run.end, all.end)};
}

void Narrow(const ByteRun& run, NpuPort* port) {
  port->begin = run.begin;
  port->view.offset += run.begin;
  port->view.bytes -= run.begin;
  port->rows = 1;
  port->row_bytes = port->pitch = run.end - run.begin;
}

void CutCall(const NpuPart& part, NpuCall* call) {
  call->operation = part.operation;
  for (size_t i = 0; i < call->operands.size(); ++i) {
    call->operands[i].offset += part.operand_offsets[i];
    call->operands[i].bytes -= part.operand_offsets[i];
  }
  call->output.offset += part.output_offset;
  call->output.bytes -= part.output_offset;
}

// Columns of `item` bytes of a port whose rows have `row_bytes` of them.
void NarrowColumns(int64_t begin, int64_t end, size_t item, size_t row_bytes, NpuPort* port) {
  const size_t size = port->bytes(), first = static_cast<size_t>(begin) * item;
  if (port->rows == 1) port->pitch = row_bytes;  // they lay side by side
  port->rows = size / row_bytes;
  port->row_bytes = static_cast<size_t>(end - begin) * item;
  port->begin += first;
  port->view.offset += first;
  port->view.bytes -= first;
}

// Leaves of a region's only task the columns of the tiles of `step`. All of them need all inputs.
void CutRegionColumns(const Task& task, const NpuStep& step, NpuRegion* region) {
  NpuCall& call = region->calls.front();
  const NpuOperator& whole = *call.operation;
  const int64_t columns = whole.shape.back();
  const int64_t begin = step.part.channel_begin * task.npu_columns;
  const int64_t end = std::min(columns, int64_t{step.part.channel_end} * task.npu_columns);
  const size_t item = SizeOf(whole.values.back().type);
  CutCall(CutColumns(whole, begin, end), &call);
  for (NpuPort& port : region->outputs) {
    NarrowColumns(begin, end, item, static_cast<size_t>(columns) * item, &port);
  }
}

// Leaves of a region's only task what the row tiles of `step` need. More rows may be computed,
// where tiles begin or end within one; these are nobody's, and not in the output's port.
void CutRegionRows(const Graph& graph, const Task& task, const NpuStep& step, NpuRegion* region) {
  const size_t n_inputs = static_cast<size_t>(task.n_inputs);
  const ByteRun written = TouchedBy(graph, step, task, n_inputs);
  NpuCall& call = region->calls.front();
  const size_t row_bytes = CutRowsOf(*call.operation).bytes;
  CutCall(CutRows(*call.operation, static_cast<int64_t>(written.begin / row_bytes),
                  static_cast<int64_t>((written.end + row_bytes - 1) / row_bytes)),
          &call);
  for (NpuPort& port : region->outputs) Narrow(written, &port);
  for (NpuPort& port : region->inputs) {
    const auto begin = task.buffers.begin();
    const auto end = begin + task.n_inputs;
    if (std::count(begin, end, port.tensor) != 1) continue;
    const size_t position = static_cast<size_t>(std::find(begin, end, port.tensor) - begin);
    if (graph.tensors[static_cast<size_t>(port.tensor)].pitch_bytes != 0) continue;
    Narrow(TouchedBy(graph, step, task, position), &port);
  }
}

}  // namespace

NpuRegion MakeRegion(const Graph& graph, const Table& table, const NpuStep& step,
                     const char* constants) {
  NpuRegion region;
  region.name = RegionName(graph, step);
  Builder builder(graph, table, constants, &region);
  for (int task : step.tasks) {
    NpuCall call;
    call.operation = graph.operators[static_cast<size_t>(task)];
    for (int operand : call.operation->operands) call.operands.push_back(builder.View(operand));
    call.output = builder.View(call.operation->output);
    region.calls.push_back(std::move(call));
  }
  for (int tensor : step.inputs) region.inputs.push_back(builder.Port(tensor));
  for (int tensor : step.outputs) region.outputs.push_back(builder.Port(tensor));
  if (!step.is_part()) {
    AddContext(graph, table, step, constants, &region);
    return region;
  }
  const Task& task = graph.tasks[static_cast<size_t>(step.tasks.front())];
  if (step.part.channel_end - step.part.channel_begin < task.channels) {
    CutRegionColumns(task, step, &region);
  } else {
    CutRegionRows(graph, task, step, &region);
  }
  return region;
}

void GatherRows(const NpuPort& port, const char* place, char* dense) {
  for (size_t row = 0; row < port.rows; ++row) {
    std::memcpy(dense + row * port.row_bytes, place + row * port.pitch, port.row_bytes);
  }
}

void ScatterRows(const NpuPort& port, const char* dense, char* place) {
  for (size_t row = 0; row < port.rows; ++row) {
    std::memcpy(place + row * port.pitch, dense + row * port.row_bytes, port.row_bytes);
  }
}

std::string RegionName(const Graph& graph, const NpuStep& step) {
  const auto name = [&](int task) { return graph.tasks[static_cast<size_t>(task)].name; };
  const std::string first = name(step.tasks.front());
  return step.tasks.size() == 1 ? first : first + " .. " + name(step.tasks.back());
}

}  // namespace hetcomp
