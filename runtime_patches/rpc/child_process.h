// Processes for what may crash or hang.
#ifndef HETCOMP_RPC_CHILD_PROCESS_H_
#define HETCOMP_RPC_CHILD_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <optional>

#include "deadline.h"

namespace hetcomp::rpc {

struct Ending {
  bool killed;  // by a signal
  int number;   // the signal's, or the exit status
};

// A forked process that leads a group: what it starts ends with it, and it ends with this one. To
// be made before there are threads.
class ChildProcess {
 public:
  // `body` runs in the child and returns its exit status; no destructor runs after it, as drivers
  // may hang there. Throws std::runtime_error if there can be no process.
  explicit ChildProcess(const std::function<int()>& body);
  ~ChildProcess();  // ends it
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // How it has ended by itself, if it has.
  std::optional<Ending> Ended() const;
  // Kills its group and waits a few seconds for its end. False: it is stuck in a driver, and is
  // counted by `StuckProcesses` from now on.
  bool End();

 private:
  pid_t pid_ = -1;  // -1 after End
};

// How many processes have been killed and have not ended by now.
int StuckProcesses();

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_CHILD_PROCESS_H_
