// What a vendor's compiler made of regions, as the file has it: the key "contexts" of "npu".
#ifndef HETCOMP_NPU_CONTEXT_H_
#define HETCOMP_NPU_CONTEXT_H_

#include <string>
#include <vector>

namespace tvm::ffi {
class Any;
}

namespace hetcomp {

struct Graph;

struct NpuContext {
  std::vector<int> tasks;
  int tensor = -1;  // the constant that is the context; -1: there is none
  std::string why_not;
  std::vector<std::string> inputs;  // names of the region's inputs and outputs in it
  std::vector<std::string> outputs;
};

// Reads driver and contexts into `graph`, the tensors of which are known. `value` is the
// description's entry "npu", which may be null. Throws Error(kInput).
void ParseNpuContexts(const tvm::ffi::Any& value, Graph* graph);

// The context of the region of these tasks; null where the file has nothing on it.
const NpuContext* FindNpuContext(const Graph& graph, const std::vector<int>& tasks);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_CONTEXT_H_
