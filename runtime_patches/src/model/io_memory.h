// Memory of the inputs and outputs that does not change with the plan.
//
// A step table places inputs and outputs in its arena, where other tensors may use the same bytes
// before or after. A caller who wants to fill inputs and read outputs in place needs memory of its
// own for each of them: one block with a slot for every root of an input or output. Programs made
// ready with that block compute in it; where they cannot, inferences copy as from any memory.
#ifndef HETCOMP_IO_MEMORY_H_
#define HETCOMP_IO_MEMORY_H_

#include <string>

#include "model/model.h"

namespace hetcomp {

// Gives each input and output, and all that share memory with one, its slot.
void LayOutIo(Graph* graph);

// Index of the input or output of that name. Throws Error(kInput) that lists the names.
int FindIo(const Graph& graph, const std::string& name);

}  // namespace hetcomp

#endif  // HETCOMP_IO_MEMORY_H_
