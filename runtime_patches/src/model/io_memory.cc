#include "model/io_memory.h"

#include <initializer_list>

#include "base/error.h"

namespace hetcomp {

void LayOutIo(Graph* graph) {
  for (const std::vector<int>* list : {&graph->inputs, &graph->outputs}) {
    for (int index : *list) {
      // A constant stays where it is: only its copy for the caller has a slot.
      Tensor& tensor = graph->tensors[static_cast<size_t>(index)];
      Tensor& root = tensor.constant ? tensor : graph->tensors[static_cast<size_t>(tensor.root)];
      if (root.io_offset != kNoIoOffset) continue;
      root.io_offset = graph->io_bytes;
      const size_t lines = (root.size_bytes + kTensorAlignment - 1) / kTensorAlignment;
      graph->io_bytes += lines * kTensorAlignment;
    }
  }
  for (Tensor& tensor : graph->tensors) {
    if (tensor.alias && !tensor.constant) {
      tensor.io_offset = graph->tensors[static_cast<size_t>(tensor.root)].io_offset;
    }
  }
}

int FindIo(const Graph& graph, const std::string& name) {
  std::string names;
  for (const std::vector<int>* list : {&graph.inputs, &graph.outputs}) {
    for (int index : *list) {
      const std::string& known = graph.tensors[static_cast<size_t>(index)].name;
      if (known == name) return index;
      names += (names.empty() ? "" : ", ") + known;
    }
  }
  ThrowInput("the model has no input or output \"" + name + "\"; it has: " + names);
}

}  // namespace hetcomp
