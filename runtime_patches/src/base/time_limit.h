// Calls that may never return, such as into a vendor's library.
#ifndef HETCOMP_TIME_LIMIT_H_
#define HETCOMP_TIME_LIMIT_H_

#include <chrono>
#include <cmath>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "base/error.h"

namespace hetcomp {

// What `work` returns or throws. It runs in a thread of its own, which is left alone where it does
// not end within the limit; so it must own what it uses, or use what stays for ever. Throws
// TimeoutError then; what it returns late is destroyed.
template <typename Result>
Result WithinLimit(double limit_ms, const std::string& who, std::function<Result()> work) {
  std::packaged_task<Result()> task(std::move(work));
  std::future<Result> result = task.get_future();
  std::thread(std::move(task)).detach();
  if (result.wait_for(std::chrono::duration<double, std::milli>(limit_ms)) !=
      std::future_status::ready) {
    throw TimeoutError(who + " did not answer within " + std::to_string(std::lround(limit_ms)) +
                       " ms");
  }
  return result.get();
}

}  // namespace hetcomp

#endif  // HETCOMP_TIME_LIMIT_H_
