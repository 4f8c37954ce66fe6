#include "base/notice.h"

#include <cstdio>
#include <mutex>
#include <set>

namespace hetcomp {

void NoticeOnce(const std::string& text, bool quiet) {
  static std::mutex mutex;                                // guards `said`
  static auto* const said = new std::set<std::string>();  // leaked: used until exit
  if (quiet) return;
  std::lock_guard<std::mutex> lock(mutex);
  if (said->insert(text).second) std::fprintf(stderr, "hetcomp: %s\n", text.c_str());
}

}  // namespace hetcomp
