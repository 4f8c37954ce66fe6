#include "npu_region.h"

#include <cstring>
#include <map>

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
  AddContext(graph, table, step, constants, &region);
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
