#include "base/keep.h"

#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace hetcomp {

void KeepForEver(std::shared_ptr<void> object) {
  static std::mutex mutex;                                             // guards `kept`
  static auto* const kept = new std::vector<std::shared_ptr<void>>();  // never freed
  if (object == nullptr) return;
  std::lock_guard<std::mutex> lock(mutex);
  try {
    kept->push_back(object);
  } catch (
      const std::bad_alloc&) {  // nothing refers to it then, but it stays: nobody lets go of it
    alignas(std::shared_ptr<void>) char place[sizeof(object)];
    new (place) std::shared_ptr<void>(std::move(object));
  }
}

}  // namespace hetcomp
