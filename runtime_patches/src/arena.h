// Memory of one model: the arena that holds all activations, and its constants.
#ifndef HETCOMP_ARENA_H_
#define HETCOMP_ARENA_H_

#include <cstddef>
#include <memory>

#include "image.h"
#include "model.h"
#include "opencl_device.h"

namespace hetcomp {

// A block of memory, freed with its last owner.
using Block = std::shared_ptr<char>;

// Zeroed, page-aligned host memory.
Block HostBlock(size_t bytes);

// Zeroed fine-grained SVM, 128-byte aligned. No kernel may be using it when its last owner goes:
// after a hang, leak an owner instead.
Block SvmBlock(size_t bytes, const OpenClDevice& device);

// The constants where they are, in the mapped image: read-only, owned by nobody.
Block ConstantsInImage(const Image& image);

// Where the tensors of one step table live. Copies share the blocks.
struct Memory {
  Block arena;
  size_t arena_bytes = 0;
  Block constants;
  Block tickets;  // lines of TicketLine

  // Address of a tensor under a table that CheckTable has accepted for this graph.
  char* Address(const Graph& graph, const Table& table, int tensor) const {
    const size_t index = static_cast<size_t>(tensor);
    return (graph.tensors[index].constant ? constants : arena).get() + table.offsets[index];
  }
};

}  // namespace hetcomp

#endif  // HETCOMP_ARENA_H_
