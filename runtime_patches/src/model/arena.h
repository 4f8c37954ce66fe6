// Memory of one model: the arena that holds all activations, and its constants.
#ifndef HETCOMP_ARENA_H_
#define HETCOMP_ARENA_H_

#include <cstddef>
#include <memory>

#include "model/image.h"
#include "model/model.h"
#include "opencl/opencl_device.h"

namespace hetcomp {

// A block of memory, freed with its last owner.
using Block = std::shared_ptr<char>;

// Zeroed, page-aligned host memory.
Block HostBlock(size_t bytes);

// Zeroed fine-grained SVM, 128-byte aligned. No kernel may be using it when its last owner goes:
// after a hang, leak an owner instead.
Block SvmBlock(size_t bytes, const OpenClDevice& device);

// The same with any contents: it takes no memory before it is written.
Block UnsetSvmBlock(size_t bytes, const OpenClDevice& device);

// The constants where they are, in the mapped image: read-only, owned by nobody.
Block ConstantsInImage(const Image& image);

// Gives what was freed back to the system, where the C library can: drivers' compilers free a lot.
void GiveBackFreed();

// Where the tensors of one step table live. Copies share the blocks.
struct Memory {
  Block arena;
  size_t arena_bytes = 0;
  Block constants;
  Block tickets;  // lines of TicketLine
  Block io;       // of inputs and outputs, see io_memory.h; null: they are in the arena

  // Address of a tensor under a table that CheckTable has accepted for this graph.
  char* Address(const Graph& graph, const Table& table, int tensor) const {
    const size_t index = static_cast<size_t>(tensor);
    const Tensor& info = graph.tensors[index];
    if (info.constant) return constants.get() + table.offsets[index];
    if (io == nullptr || info.io_offset == kNoIoOffset) return arena.get() + table.offsets[index];
    return io.get() + info.io_offset + (table.offsets[index] - table.offsets[Root(info)]);
  }

 private:
  static size_t Root(const Tensor& tensor) { return static_cast<size_t>(tensor.root); }
};

}  // namespace hetcomp

#endif  // HETCOMP_ARENA_H_
