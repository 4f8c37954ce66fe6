// Which bytes of the arena a step reads and writes.
#ifndef HETCOMP_TOUCHED_BYTES_H_
#define HETCOMP_TOUCHED_BYTES_H_

#include <vector>

#include "model/byte_rect.h"
#include "model/model.h"

namespace hetcomp {

// What a step may read; maybe more than it does. Constants are left out.
std::vector<ByteRect> ReadBytes(const Graph& graph, const Table& table, const Step& step);

// Exactly what a step writes. Of a part of a task this is found by executing the CPU's kernel twice
// on made-up inputs, over outputs that differ in every byte before: what differs still was not
// written. `constants` is the model's block of them. Throws Error(kInternal) if the kernel fails.
std::vector<ByteRect> WrittenBytes(const Graph& graph, const Table& table, const Step& step,
                                   const char* constants);

}  // namespace hetcomp

#endif  // HETCOMP_TOUCHED_BYTES_H_
