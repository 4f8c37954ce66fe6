// What the processors must copy to each other where each has memory of its own.
#ifndef HETCOMP_CROSSINGS_H_
#define HETCOMP_CROSSINGS_H_

#include <vector>

#include "model/byte_rect.h"
#include "model/model.h"

namespace hetcomp {

// For each step of the GPU the bytes of the arena.
struct Crossings {
  std::vector<std::vector<ByteRect>> to_gpu;  // copied before the step
  std::vector<std::vector<ByteRect>> to_cpu;  // copied after it
};

// Replays the table. A step's bytes cross when a step of the other processor reads them, once, and
// no others do: parts of rows and channels. Inputs of the graph are the CPU's, outputs are read by
// it. `constants` is the model's block of them. Steps must have no tickets.
Crossings FindCrossings(const Graph& graph, const Table& table, const char* constants);

}  // namespace hetcomp

#endif  // HETCOMP_CROSSINGS_H_
