// Host memory that runs out where a test says so. Linked into a model.so, it takes the place of the
// allocators there and nowhere else: the driver and Python have memory.
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

// The test's; the environment names its address.
struct Orders {
  int64_t calls;
  int64_t first;  // the allocations [first, last] fail, counted from 1
  int64_t last;
};

Orders* FindOrders() {
  const char* address = std::getenv("SCARCE_MEMORY");
  return address == nullptr ? nullptr
                            : reinterpret_cast<Orders*>(std::strtoull(address, nullptr, 0));
}

bool Denied() {
  static Orders* const orders = FindOrders();
  if (orders == nullptr) return false;
  const int64_t number = __atomic_add_fetch(&orders->calls, 1, __ATOMIC_RELAXED);
  return orders->first <= number && number <= orders->last;
}

void* Aligned(size_t alignment, size_t size) {
  void* memory = nullptr;
  return posix_memalign(&memory, alignment, size) == 0 ? memory : nullptr;
}

void* OrThrow(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

extern "C" void* aligned_alloc(size_t alignment, size_t size) noexcept {
  return Denied() ? nullptr : Aligned(alignment, size);
}

void* operator new(size_t size) { return OrThrow(Denied() ? nullptr : std::malloc(size)); }
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return Denied() ? nullptr : std::malloc(size);
}
void* operator new(size_t size, std::align_val_t alignment) {
  return OrThrow(Denied() ? nullptr : Aligned(static_cast<size_t>(alignment), size));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
