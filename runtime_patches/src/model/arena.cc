#include "model/arena.h"

#include <cstdlib>
#include <cstring>

#include "base/error.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace hetcomp {
namespace {

constexpr size_t kPageBytes = 4096;

}  // namespace

Block HostBlock(size_t bytes) {
  const size_t allocated = (bytes / kPageBytes + 1) * kPageBytes;
  char* memory = static_cast<char*>(std::aligned_alloc(kPageBytes, allocated));
  if (memory == nullptr) {
    ThrowInternal("out of memory: an arena of " + std::to_string(allocated) + " bytes");
  }
  std::memset(memory, 0, allocated);
  return Block(memory, &std::free);
}

Block SvmBlock(size_t bytes, const OpenClDevice& device) {
  Block block = UnsetSvmBlock(bytes, device);
  std::memset(block.get(), 0, bytes);
  return block;
}

Block UnsetSvmBlock(size_t bytes, const OpenClDevice& device) {
  const ClHandles cl = device.cl();
  char* memory = static_cast<char*>(ReserveSvm(cl, bytes == 0 ? kTensorAlignment : bytes));
  return Block(memory, [cl](char* freed) { cl.api->clSVMFree(cl.context, freed); });
}

void GiveBackFreed() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

Block ConstantsInImage(const Image& image) {
  return Block(const_cast<char*>(image.constants), [](char*) {});
}

}  // namespace hetcomp
