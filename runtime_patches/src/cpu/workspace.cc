#include "cpu/workspace.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

// The slots exist only in models whose kernels need them, hence weak.
extern "C" {
__attribute__((weak, visibility("hidden"))) extern void* __TVMBackendAllocWorkspace;
__attribute__((weak, visibility("hidden"))) extern void* __TVMBackendFreeWorkspace;
__attribute__((weak, visibility("hidden"))) extern void* __TVMBackendParallelLaunch;
}

namespace hetcomp {
namespace {

constexpr size_t kAlignment = 128;
constexpr size_t kFirstBlockBytes = size_t{1} << 20;

struct FreeDelete {
  void operator()(char* memory) const { std::free(memory); }
};

// A stack of allocations of one thread. Blocks are kept, so that after the first inference
// nothing is allocated any more.
class WorkspaceStack {
 public:
  void* Allocate(size_t bytes) {
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    while (current_ < blocks_.size() && blocks_[current_].used + rounded > blocks_[current_].size) {
      ++current_;
    }
    if (current_ == blocks_.size() && !AddBlock(rounded)) return nullptr;
    Block& block = blocks_[current_];
    char* memory = block.memory.get() + block.used;
    live_.push_back({memory, current_, block.used, false});
    block.used += rounded;
    return memory;
  }

  // Kernels free in reverse order; anything else is kept until what lies above it is freed.
  int Free(void* memory) {
    size_t i = live_.size();
    while (i > 0 && live_[i - 1].memory != memory) --i;
    if (i == 0) return -1;
    live_[i - 1].freed = true;
    while (!live_.empty() && live_.back().freed) {
      current_ = live_.back().block;
      blocks_[current_].used = live_.back().used_before;
      live_.pop_back();
    }
    return 0;
  }

 private:
  struct Block {
    std::unique_ptr<char, FreeDelete> memory;
    size_t size;
    size_t used;
  };
  struct Allocation {
    char* memory;
    size_t block;
    size_t used_before;
    bool freed;
  };

  bool AddBlock(size_t at_least) {
    size_t size = kFirstBlockBytes;
    while (size < at_least) size *= 2;
    char* memory = static_cast<char*>(std::aligned_alloc(kAlignment, size));
    if (memory == nullptr) return false;
    blocks_.push_back({std::unique_ptr<char, FreeDelete>(memory), size, 0});
    return true;
  }

  std::vector<Block> blocks_;
  size_t current_ = 0;
  std::vector<Allocation> live_;
};

WorkspaceStack& ThisThreadsStack() {
  static thread_local WorkspaceStack stack;
  return stack;
}

// Signatures of TVM's backend interface.
void* AllocWorkspace(int, int, uint64_t bytes, int, int) {
  return ThisThreadsStack().Allocate(static_cast<size_t>(bytes));
}

int FreeWorkspace(int, int, void* memory) { return ThisThreadsStack().Free(memory); }

struct ParallelGroup {
  void* sync_handle;
  int32_t num_task;
};
using ParallelLambda = int (*)(int task, ParallelGroup* group, void* closure);

// The runtime splits steps among its own threads, so a loop marked parallel runs as one task.
int ParallelLaunch(ParallelLambda lambda, void* closure, int) {
  ParallelGroup group{nullptr, 1};
  return lambda(0, &group, closure);
}

}  // namespace

void FillKernelSlots() {
  if (&__TVMBackendAllocWorkspace != nullptr) {
    __TVMBackendAllocWorkspace = reinterpret_cast<void*>(&AllocWorkspace);
  }
  if (&__TVMBackendFreeWorkspace != nullptr) {
    __TVMBackendFreeWorkspace = reinterpret_cast<void*>(&FreeWorkspace);
  }
  if (&__TVMBackendParallelLaunch != nullptr) {
    __TVMBackendParallelLaunch = reinterpret_cast<void*>(&ParallelLaunch);
  }
}

}  // namespace hetcomp
