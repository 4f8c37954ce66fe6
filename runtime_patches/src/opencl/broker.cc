#include "opencl/broker.h"

#include <tvm/ffi/error.h>
#include <tvm/ffi/function.h>

#include <exception>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/priority_turn.h"
#include "cpu/cpu_pool.h"

namespace hetcomp {
namespace {

namespace ffi = tvm::ffi;

// A pool, who may use it, and how many may.
struct PoolEntry {
  PoolEntry(int n, std::vector<int> c) : threads(n), cores(c), pool(n, std::move(c)) {}
  const int threads;
  const std::vector<int> cores;
  CpuPool pool;
  PriorityTurn turn;
  int users = 0;
};

// Leaked: used until exit.
struct Shared {
  std::mutex mutex;  // guards the rest, but not what is in the entries
  std::map<std::string, HetcompSharedQueue*> queues;
  std::list<PoolEntry> pools;
};

Shared& Here() {
  static auto* const shared = new Shared();
  return *shared;
}

// Null where there is no memory.
HetcompSharedQueue* FindQueue(const char* name) noexcept {
  try {
    Shared& shared = Here();
    std::lock_guard<std::mutex> lock(shared.mutex);
    HetcompSharedQueue*& queue = shared.queues[name];
    if (queue == nullptr) {
      auto made = std::make_unique<HetcompSharedQueue>();
      made->turn = new PriorityTurn();
      queue = made.release();
    }
    return queue;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void TakeTurn(void* turn, int32_t priority) noexcept {
  static_cast<PriorityTurn*>(turn)->Take(priority);
}

void GiveTurn(void* turn) noexcept { static_cast<PriorityTurn*>(turn)->Give(); }

// Null where threads cannot be started, or there is no memory.
void* FindPool(int32_t threads, const int32_t* cores, int32_t n_cores) noexcept {
  try {
    const std::vector<int> wanted(cores, cores + n_cores);
    Shared& shared = Here();
    std::lock_guard<std::mutex> lock(shared.mutex);
    for (PoolEntry& entry : shared.pools) {
      if (entry.threads != threads || entry.cores != wanted) continue;
      ++entry.users;
      return &entry;
    }
    PoolEntry& entry = shared.pools.emplace_back(threads, wanted);
    entry.users = 1;
    return &entry;
  } catch (const std::exception&) {
    return nullptr;
  }
}

void DropPool(void* pool) noexcept {
  Shared& shared = Here();
  std::lock_guard<std::mutex> lock(shared.mutex);
  auto* const entry = static_cast<PoolEntry*>(pool);
  if (--entry->users > 0) return;
  shared.pools.remove_if([&](const PoolEntry& other) { return &other == entry; });
}

void BeginPool(void* pool, int32_t priority) noexcept {
  auto* const entry = static_cast<PoolEntry*>(pool);
  entry->turn.Take(priority);
  entry->pool.Begin();
}

void EndPool(void* pool) noexcept {
  auto* const entry = static_cast<PoolEntry*>(pool);
  entry->pool.End();
  entry->turn.Give();
}

int32_t RunPool(void* pool, const HetcompCall* calls, int32_t n) noexcept {
  return static_cast<PoolEntry*>(pool)->pool.Run(calls, n) ? 0 : -1;
}

void TakePoolError(void* pool, char* text, size_t size) noexcept {
  const std::string error = static_cast<PoolEntry*>(pool)->pool.TakeError();
  text[error.copy(text, size - 1)] = '\0';
}

constexpr HetcompBroker kBroker = {HETCOMP_BROKER_PROTOCOL,
                                   sizeof(HetcompBroker),
                                   FindQueue,
                                   TakeTurn,
                                   GiveTurn,
                                   FindPool,
                                   DropPool,
                                   BeginPool,
                                   EndPool,
                                   RunPool,
                                   TakePoolError};

const HetcompBroker* AddressIn(const ffi::Function& function) {
  return static_cast<const HetcompBroker*>(function().cast<void*>());
}

const HetcompBroker* FindBroker() {
  const std::string name = "hetcomp.broker.v" + std::to_string(HETCOMP_BROKER_PROTOCOL);
  if (const auto known = ffi::Function::GetGlobal(name)) return AddressIn(*known);
  const auto own = [] { return static_cast<void*>(const_cast<HetcompBroker*>(&kBroker)); };
  try {
    ffi::Function::SetGlobal(name, ffi::Function::FromTyped(own), /*override=*/false);
  } catch (const ffi::Error&) {  // another thread was faster
    if (const auto known = ffi::Function::GetGlobal(name)) return AddressIn(*known);
    throw;
  }
  return &kBroker;
}

}  // namespace

const HetcompBroker& ProcessBroker() {
  static const HetcompBroker* const broker = FindBroker();
  if (broker->protocol != HETCOMP_BROKER_PROTOCOL || broker->size_bytes != sizeof(HetcompBroker)) {
    ThrowInternal("another library has registered a broker of this protocol that does not fit it");
  }
  return *broker;
}

}  // namespace hetcomp
