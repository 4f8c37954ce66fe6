// Session: which cores its threads run on.
#include <algorithm>
#include <string>

#include "base/error.h"
#include "cpu/pinning.h"
#include "session/session.h"

namespace hetcomp {

void Session::ResolveCores() {
  const std::vector<int> allowed = AllowedCpus();
  if (options_.pin == PinMode::kOff || allowed.empty()) return;
  ResolveAffinity(allowed);
  const bool can_share = allowed.size() >= 2;
  // Dividing a machine with more CPUs into one core for each side would waste the others.
  if (options_.pin == PinMode::kAuto && allowed.size() != 2) return;
  const int first = affinity_.empty() ? allowed[0] : affinity_[0];
  cores_.cpu = options_.cpu_core >= 0 ? options_.cpu_core : first;
  if (!can_share) return;
  cores_.gpu =
      options_.gpu_core >= 0 ? options_.gpu_core : allowed[cores_.cpu == allowed[1] ? 0 : 1];
  for (int core : {cores_.cpu, cores_.gpu}) {
    if (std::find(allowed.begin(), allowed.end(), core) != allowed.end()) continue;
    ThrowInput("this process may not run on CPU " + std::to_string(core) + ": choose other cores");
  }
}

// A model may be opened on a machine without the cores that it was compiled for.
void Session::ResolveAffinity(const std::vector<int>& allowed) {
  for (int core : options_.cores.value_or(model_.cores)) {
    const bool here = std::find(allowed.begin(), allowed.end(), core) != allowed.end();
    if (here && std::find(affinity_.begin(), affinity_.end(), core) == affinity_.end())
      affinity_.push_back(core);
  }
}

void Session::MakePool() {
  if (options_.threads == 1) return;
  std::vector<int> cores = affinity_;
  const bool gpu_in_use = ready_ != nullptr && ready_->lane != nullptr;
  if (affinity_.empty() && options_.pin == PinMode::kOn && !gpu_in_use) {
    const std::vector<int> allowed = AllowedCpus();
    const auto first = std::find(allowed.begin(), allowed.end(), cores_.cpu);
    cores.assign(first, allowed.end());
  }
  pool_ = std::make_unique<SharedPool>(options_.threads, cores, options_.priority);
}

// The core for the calling thread; -1 = wherever it is. "auto" pins only beside a pinned device:
// two threads that spin for each other must not share a core.
int Session::RunCore() const {
  if (options_.pin == PinMode::kOn) return cores_.cpu;
  return options_.pin == PinMode::kAuto && ready_->lane != nullptr ? device_->host_core() : -1;
}

// With workers, each on a core of its own, the caller takes the first one; alone, any of them, so
// that sessions do not share one.
ScopedPin Session::PinCaller() const {
  const int core = RunCore();
  if (core >= 0 || affinity_.empty()) return ScopedPin(core);
  return options_.threads > 1 ? ScopedPin(affinity_[0]) : ScopedPin(affinity_);
}

int Session::Core() {
  std::lock_guard<std::mutex> lock(mutex_);
  return RunCore();
}

}  // namespace hetcomp
