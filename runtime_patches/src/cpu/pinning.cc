#include "cpu/pinning.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace hetcomp {
namespace {

cpu_set_t MaskOf(int core) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(static_cast<size_t>(core), &mask);
  return mask;
}

}  // namespace

std::vector<int> AllowedCpus() {
  std::vector<int> cpus;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &mask)) cpus.push_back(cpu);
  }
  return cpus;
}

bool PinThisThread(int core) {
  const cpu_set_t mask = MaskOf(core);
  return sched_setaffinity(0, sizeof(mask), &mask) == 0;
}

ScopedPin::ScopedPin(int core) {
  if (core >= 0) Confine(MaskOf(core));
}

ScopedPin::ScopedPin(const std::vector<int>& cores) {
  if (cores.empty()) return;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (int core : cores) CPU_SET(static_cast<size_t>(core), &mask);
  Confine(mask);
}

void ScopedPin::Confine(const cpu_set_t& mask) {
  CPU_ZERO(&saved_);
  if (sched_getaffinity(0, sizeof(saved_), &saved_) != 0) return;
  if (CPU_EQUAL(&mask, &saved_)) return;
  active_ = sched_setaffinity(0, sizeof(mask), &mask) == 0;
}

ScopedPin::~ScopedPin() { Release(); }

void ScopedPin::Release() {
  if (active_) sched_setaffinity(0, sizeof(saved_), &saved_);
  active_ = false;
}

std::vector<int> ThreadIds() {
  std::vector<int> ids;
  DIR* directory = opendir("/proc/self/task");
  if (directory == nullptr) return ids;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') ids.push_back(std::atoi(entry->d_name));
  }
  closedir(directory);
  return ids;
}

int OtherThreadsPinnedTo(int core) {
  const int self = static_cast<int>(syscall(SYS_gettid));
  const cpu_set_t wanted = MaskOf(core);
  int count = 0;
  for (int id : ThreadIds()) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (id == self || sched_getaffinity(id, sizeof(mask), &mask) != 0) continue;
    if (CPU_EQUAL(&mask, &wanted)) ++count;
  }
  return count;
}

void CopyMaskToThreadsSince(const std::vector<int>& before) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return;
  for (int id : ThreadIds()) {
    if (std::find(before.begin(), before.end(), id) != before.end()) continue;
    sched_setaffinity(id, sizeof(mask), &mask);
  }
}

}  // namespace hetcomp
