#include "keep.h"

#include <mutex>
#include <utility>
#include <vector>

namespace hetcomp {

void KeepForEver(std::shared_ptr<void> object) {
  static std::mutex mutex;                                             // guards `kept`
  static auto* const kept = new std::vector<std::shared_ptr<void>>();  // never freed
  if (object == nullptr) return;
  std::lock_guard<std::mutex> lock(mutex);
  kept->push_back(std::move(object));
}

}  // namespace hetcomp
