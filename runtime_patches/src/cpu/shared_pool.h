// This session's use of a pool of threads that models share.
#ifndef HETCOMP_SHARED_POOL_H_
#define HETCOMP_SHARED_POOL_H_

#include <string>
#include <vector>

#include "opencl/broker.h"

namespace hetcomp {

// Sessions with equal demands use one pool, one inference at a time. Thread-safe.
class SharedPool {
 public:
  // Worker i is pinned to cores[i + 1], those beyond to all of them; empty = not pinned.
  SharedPool(int threads, const std::vector<int>& cores, int priority);
  ~SharedPool();
  SharedPool(const SharedPool&) = delete;
  SharedPool& operator=(const SharedPool&) = delete;

  void Begin() { broker_.begin_pool(pool_, priority_); }
  void End() { broker_.end_pool(pool_); }
  // Runs calls[0 .. n), n <= threads, between Begin and End. False if a kernel failed: TakeError.
  bool Run(const HetcompCall* calls, int n) { return broker_.run_pool(pool_, calls, n) == 0; }
  std::string TakeError();

 private:
  const HetcompBroker& broker_;
  const int priority_;
  void* const pool_;
};

// Has the pool for the life of the object; a null pool is allowed.
class PoolScope {
 public:
  explicit PoolScope(SharedPool* pool) : pool_(pool) {
    if (pool_ != nullptr) pool_->Begin();
  }
  ~PoolScope() {
    if (pool_ != nullptr) pool_->End();
  }
  PoolScope(const PoolScope&) = delete;
  PoolScope& operator=(const PoolScope&) = delete;

 private:
  SharedPool* const pool_;
};

}  // namespace hetcomp

#endif  // HETCOMP_SHARED_POOL_H_
