#include "npu/npu_context.h"

#include <utility>

#include "base/json_fields.h"
#include "model/model.h"

namespace hetcomp {
namespace {

std::vector<std::string> Names(const Fields& fields, const char* key) {
  std::vector<std::string> names;
  for (const tvm::ffi::Any& item : fields.List(key)) {
    auto text = item.try_cast<tvm::ffi::String>();
    if (!text.has_value()) ThrowInput(std::string("NPU context: \"") + key + "\" are no names");
    names.emplace_back(*text);
  }
  return names;
}

NpuContext ParseContext(const tvm::ffi::Any& value, const Graph& graph) {
  const Fields fields(value, "NPU context");
  NpuContext context;
  context.tasks = fields.Ints<int>("tasks");
  context.tensor = fields.SmallInt("tensor");
  context.why_not = fields.Text("why_not");
  context.inputs = Names(fields, "inputs");
  context.outputs = Names(fields, "outputs");
  const int n_tensors = static_cast<int>(graph.tensors.size());
  if (context.tensor < -1 || context.tensor >= n_tensors ||
      (context.tensor >= 0 && !graph.tensors[static_cast<size_t>(context.tensor)].constant)) {
    ThrowInput("NPU context: " + std::to_string(context.tensor) + " is no constant");
  }
  return context;
}

}  // namespace

void ParseNpuContexts(const tvm::ffi::Any& value, Graph* graph) {
  if (value == nullptr) return;
  const Fields fields(value, "NPU operators");
  graph->npu_driver = fields.Text("driver");
  for (const tvm::ffi::Any& item : fields.List("contexts")) {
    graph->npu_contexts.push_back(ParseContext(item, *graph));
  }
}

const NpuContext* FindNpuContext(const Graph& graph, const std::vector<int>& tasks) {
  for (const NpuContext& context : graph.npu_contexts) {
    if (context.tasks == tasks) return &context;
  }
  return nullptr;
}

}  // namespace hetcomp
