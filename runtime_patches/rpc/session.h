// A client's session: a process of its own, so that a kernel that crashes or hangs ends no more.
#ifndef HETCOMP_RPC_SESSION_H_
#define HETCOMP_RPC_SESSION_H_

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "socket.h"

namespace hetcomp::rpc {

// Ends its process, and all processes that drivers have started in it, when it is destroyed.
class Session {
 public:
  // Serves `client`, whose files are kept in `folder`, for at most `limit_s` seconds.
  Session(Socket client, std::filesystem::path folder, double limit_s);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Looks after the process; true once it has ended, with what there is to say about that.
  bool Ended(std::string* how);
  // Milliseconds until the time is up.
  int WaitMs() const;
  double seconds() const;
  const std::string& peer() const { return peer_; }

 private:
  using Clock = std::chrono::steady_clock;

  Socket client_;
  const std::string peer_;
  const Clock::time_point begin_ = Clock::now();
  const Clock::time_point end_;
  pid_t pid_ = -1;
};

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_SESSION_H_
