#include "child_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hetcomp::rpc {
namespace {

constexpr int kEndMs = 3000;
constexpr int kPollUs = 2000;

std::vector<pid_t>& Stuck() {
  static std::vector<pid_t> stuck;
  return stuck;
}

// Whether the child `pid` is no more; takes its status.
bool Reaped(pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; }

// The child's side.
[[noreturn]] void RunChild(pid_t parent, const std::function<int()>& body) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // it died before it could take us along
  for (int number : {SIGTERM, SIGINT, SIGCHLD}) signal(number, SIG_DFL);
  try {
    _exit(body());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "process %d: %s\n", static_cast<int>(getpid()), error.what());
  } catch (...) {  // a driver's; whatever it is, it must not go on as the parent
    std::fprintf(stderr, "process %d: an unknown exception\n", static_cast<int>(getpid()));
  }
  _exit(1);
}

}  // namespace

ChildProcess::ChildProcess(const std::function<int()>& body) {
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
  if (pid_ == 0) RunChild(parent, body);
  setpgid(pid_, pid_);  // on both sides, so that it is done whoever is first
}

ChildProcess::~ChildProcess() { End(); }

std::optional<Ending> ChildProcess::Ended() const {
  siginfo_t found{};
  // Not reaped: while it is there, no other group gets its number.
  const int options = WEXITED | WNOHANG | WNOWAIT;
  if (waitid(P_PID, static_cast<id_t>(pid_), &found, options) != 0) return std::nullopt;
  if (found.si_pid != pid_) return std::nullopt;
  return Ending{found.si_code != CLD_EXITED, found.si_status};
}

bool ChildProcess::End() {
  if (pid_ < 0) return true;
  const pid_t pid = std::exchange(pid_, -1);
  kill(-pid, SIGKILL);
  const Deadline end = In(kEndMs);
  while (!Reaped(pid)) {
    if (LeftMs(end) == 0) {
      Stuck().push_back(pid);
      return false;
    }
    usleep(kPollUs);
  }
  return true;
}

int StuckProcesses() {
  auto& stuck = Stuck();
  stuck.erase(std::remove_if(stuck.begin(), stuck.end(), Reaped), stuck.end());
  return static_cast<int>(stuck.size());
}

}  // namespace hetcomp::rpc
