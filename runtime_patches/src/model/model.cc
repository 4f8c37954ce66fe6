#include "model/model.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "base/error.h"
#include "base/json_fields.h"
#include "cpu/cpu_features.h"
#include "model/io_memory.h"
#include "model/kernels.h"
#include "npu/npu_operator.h"

namespace hetcomp {
namespace {

using tvm::ffi::Any;

int CheckedIndex(int64_t index, size_t size, const char* what) {
  if (index < 0 || static_cast<size_t>(index) >= size) {
    ThrowInput(std::string("task graph: ") + what + " " + std::to_string(index) + " of " +
               std::to_string(size));
  }
  return static_cast<int>(index);
}

Tensor ParseTensor(const json::Value& value) {
  Fields fields(value, "tensor");
  Tensor tensor;
  tensor.name = fields.Text("name");
  tensor.dtype = fields.Text("dtype");
  tensor.shape = fields.Ints<int64_t>("shape");
  tensor.size_bytes = fields.Size("size_bytes");
  tensor.constant = fields.Text("space") == "constant";
  tensor.pitch_bytes = fields.Size("pitch_bytes");
  return tensor;
}

TVMFFISafeCallType FindKernel(const std::string& symbol, size_t version) {
  for (int i = 0; i < hetcomp_kernel_count; ++i) {
    if (symbol == hetcomp_kernels[i].name) return hetcomp_kernels[i].versions[version];
  }
  ThrowInput("kernel " + symbol + " is not in the model's kernel table");
}

// Two positive numbers.
std::array<int, 2> ParsePair(const Fields& fields, const char* key) {
  const std::vector<int> pair = fields.Ints<int>(key);
  if (pair.size() != 2 || pair[0] < 1 || pair[1] < 1) {
    ThrowInput(std::string("kernel: key \"") + key + "\" is not a pair of positive numbers");
  }
  return {pair[0], pair[1]};
}

Kernel ParseKernel(const json::Value& value, size_t version) {
  Fields fields(value, "kernel");
  Kernel kernel;
  kernel.symbol = fields.Text("symbol");
  kernel.n_buffers = fields.SmallInt("n_buffers");
  kernel.opencl = fields.Bool("opencl");
  kernel.items = ParsePair(fields, "items");
  kernel.tiles = ParsePair(fields, "tiles");
  kernel.function = FindKernel(kernel.symbol, version);
  return kernel;
}

std::vector<CpuVersion> ParseVersions(const Fields& description) {
  std::vector<CpuVersion> versions;
  for (const Any& item : description.List("versions")) {
    Fields fields(item, "version");
    versions.push_back({fields.Text("name"), fields.Texts("needs")});
  }
  if (versions.size() != static_cast<size_t>(hetcomp_version_count)) {
    ThrowInput("model description: " + std::to_string(versions.size()) + " versions announced, " +
               std::to_string(hetcomp_version_count) + " present");
  }
  return versions;
}

std::optional<RowSpan> ParseSpan(const json::Value& value) {
  if (value == nullptr) return std::nullopt;
  Fields fields(value, "row span");
  return RowSpan{fields.Int("begin"), fields.Int("step"), fields.Int("size")};
}

Task ParseTask(const json::Value& value, const Graph& graph) {
  Fields fields(value, "task");
  Task task;
  task.name = fields.Text("name");
  task.kernel = CheckedIndex(fields.Int("kernel"), graph.kernels.size(), "kernel");
  const Kernel& kernel = graph.kernels[static_cast<size_t>(task.kernel)];
  for (const char* key : {"inputs", "outputs"}) {
    for (int64_t index : fields.Ints<int64_t>(key)) {
      task.buffers.push_back(CheckedIndex(index, graph.tensors.size(), "tensor"));
    }
    if (std::strcmp(key, "inputs") == 0) task.n_inputs = static_cast<int>(task.buffers.size());
  }
  if (static_cast<int>(task.buffers.size()) != kernel.n_buffers) {
    ThrowInput("task " + task.name + " has " + std::to_string(task.buffers.size()) +
               " tensors, kernel " + kernel.symbol + " takes " + std::to_string(kernel.n_buffers));
  }
  Fields rows(fields.At("rows"), "rows");
  Fields channels(fields.At("channels"), "channels");
  task.rows = rows.SmallInt("extent");
  task.rows_ragged = rows.Bool("ragged");
  task.channels = channels.SmallInt("extent");
  task.channels_ragged = channels.Bool("ragged");
  for (const Any& span : fields.List("row_spans")) task.row_spans.push_back(ParseSpan(span));
  task.npu_columns = fields.SmallInt("npu_columns");
  return task;
}

Graph ParseGraph(const json::Value& value, size_t version) {
  Fields fields(value, "task graph");
  Graph graph;
  for (const Any& item : fields.List("tensors")) graph.tensors.push_back(ParseTensor(item));
  for (const Any& item : fields.List("kernels")) {
    graph.kernels.push_back(ParseKernel(item, version));
  }
  for (const Any& item : fields.List("tasks")) graph.tasks.push_back(ParseTask(item, graph));
  for (int64_t index : fields.Ints<int64_t>("inputs")) {
    graph.inputs.push_back(CheckedIndex(index, graph.tensors.size(), "input"));
  }
  for (int64_t index : fields.Ints<int64_t>("outputs")) {
    graph.outputs.push_back(CheckedIndex(index, graph.tensors.size(), "output"));
  }
  graph.constants_bytes = fields.Size("constants_bytes");
  return graph;
}

// An alias lives where its root lives.
void ResolveAliases(const json::Value& value, Graph* graph) {
  std::vector<int64_t> parent;
  for (const Any& item : Fields(value, "task graph").List("tensors")) {
    const Any alias = Fields(item, "tensor").At("alias_of");
    parent.push_back(alias == nullptr ? -1 : alias.cast<int64_t>());
  }
  for (size_t i = 0; i < parent.size(); ++i) {
    size_t root = i;
    for (size_t hops = 0; parent[root] >= 0; ++hops) {
      if (hops > parent.size()) ThrowInput("task graph: tensor aliases form a ring");
      root = static_cast<size_t>(CheckedIndex(parent[root], parent.size(), "alias"));
    }
    graph->tensors[i].constant = graph->tensors[root].constant;
    graph->tensors[i].alias = root != i;
    graph->tensors[i].root = static_cast<int>(root);
  }
}

Range ParseRange(const Fields& fields) {
  return {fields.SmallInt("row_begin"), fields.SmallInt("row_end"),
          fields.SmallInt("channel_begin"), fields.SmallInt("channel_end")};
}

Step ParseStep(const json::Value& value) {
  Fields fields(value, "step");
  Step step;
  step.task = fields.SmallInt("task");
  step.range = ParseRange(fields);
  step.wait = fields.SmallInt("wait");
  step.signal = fields.Bool("signal");
  step.ticket = fields.SmallInt("ticket");
  step.leave = fields.SmallInt("leave");
  step.cut = fields.SmallInt("cut");
  step.predicted_us = fields.Number("predicted_us");
  step.npu = fields.SmallInt("npu");
  return step;
}

NpuStep ParseNpuStep(const json::Value& value) {
  Fields fields(value, "NPU step");
  return {fields.Ints<int>("tasks"), fields.Ints<int>("inputs"), fields.Ints<int>("outputs"),
          ParseRange(fields)};
}

Table TableFromJson(const json::Value& value, const Graph& graph) {
  Fields fields(value, "step table");
  Table table;
  table.name = fields.Text("name");
  for (const Any& item : fields.List("cpu")) table.cpu.push_back(ParseStep(item));
  for (const Any& item : fields.List("gpu")) table.gpu.push_back(ParseStep(item));
  for (const Any& item : fields.List("npu")) table.npu.push_back(ParseNpuStep(item));
  for (int64_t offset : fields.Ints<int64_t>("offsets")) {
    if (offset < 0) ThrowInput("step table " + table.name + ": negative offset");
    table.offsets.push_back(static_cast<size_t>(offset));
  }
  table.arena_bytes = fields.Size("arena_bytes");
  table.stands_in = fields.Bool("stands_in");
  CheckTable(table, graph);
  return table;
}

}  // namespace

size_t Tensor::row_bytes() const {
  int64_t elements = 1;
  for (int64_t extent : shape) elements *= extent;
  if (elements == 0) return 0;
  return static_cast<size_t>(shape.back()) * size_bytes / static_cast<size_t>(elements);
}

ByteRun RowSpan::OfTiles(int first, int last) const {
  const int64_t from = std::max<int64_t>(0, begin + first * step);
  const int64_t to = std::max(from, begin + (last - 1) * step + size);
  return {static_cast<size_t>(from), static_cast<size_t>(to)};
}

Model ParseModel(std::string_view text, size_t constants_bytes) {
  const json::Value value = ParseText(text, "model description");
  Fields fields(value, "model description");
  if (fields.Int("format") != 4) ThrowInput("model description: unknown format");
  const std::vector<CpuVersion> versions = ParseVersions(fields);
  const size_t version = ChooseCpuVersion(versions);
  Model model;
  model.cpu_version = versions[version].name;
  model.cores = fields.Ints<int>("cores");
  model.graph = ParseGraph(fields.At("graph"), version);
  ResolveAliases(fields.At("graph"), &model.graph);
  model.graph.operators =
      ParseNpuOperators(fields.At("npu"), model.graph.tasks.size(), model.graph.tensors.size());
  ParseNpuContexts(fields.At("npu"), &model.graph);
  LayOutIo(&model.graph);
  if (model.graph.constants_bytes > constants_bytes) {
    ThrowInput("model description: " + std::to_string(model.graph.constants_bytes) +
               " bytes of constants announced, " + std::to_string(constants_bytes) + " present");
  }
  for (const Any& item : fields.List("tables")) {
    model.tables.push_back(TableFromJson(item, model.graph));
  }
  if (std::none_of(model.tables.begin(), model.tables.end(), IsCpuTable)) {
    ThrowInput("model description: no step table \"cpu\" without GPU steps to fall back to");
  }
  return model;
}

std::string StepName(const Graph& graph, const Step& step) {
  const std::string& name = graph.tasks[static_cast<size_t>(step.task)].name;
  if (step.npu == 0) return name;
  return (step.npu > 0 ? "hand over to npu: " : "take over from npu: ") + name;
}

Table ParseTable(std::string_view text, const Graph& graph) {
  return TableFromJson(ParseText(text, "step table"), graph);
}

}  // namespace hetcomp
