#include "cpu/shared_pool.h"

#include "base/error.h"

namespace hetcomp {

SharedPool::SharedPool(int threads, const std::vector<int>& cores, int priority)
    : broker_(ProcessBroker()),
      priority_(priority),
      pool_(broker_.find_pool(threads, cores.data(), static_cast<int32_t>(cores.size()))) {
  if (pool_ == nullptr) ThrowInternal("cannot start " + std::to_string(threads - 1) + " threads");
}

SharedPool::~SharedPool() { broker_.drop_pool(pool_); }

std::string SharedPool::TakeError() {
  char text[1024];
  broker_.take_pool_error(pool_, text, sizeof(text));
  return text;
}

}  // namespace hetcomp
