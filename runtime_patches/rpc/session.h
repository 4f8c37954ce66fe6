// A client's session: a process of its own, so that a kernel that crashes or hangs ends no more.
#ifndef HETCOMP_RPC_SESSION_H_
#define HETCOMP_RPC_SESSION_H_

#include <filesystem>
#include <string>
#include <vector>

#include "child_process.h"
#include "deadline.h"
#include "socket.h"

namespace hetcomp::rpc {

// Ends its process, and all processes that drivers have started in it, when it is destroyed. To be
// made before there are threads.
class Session {
 public:
  // Serves `client`, whose files are kept in `folder`, for at most `limit_s` seconds. Its process
  // closes the files `of_server`, which may be in use for as long as somebody has them open.
  Session(Socket client, const std::filesystem::path& folder, double limit_s,
          const std::vector<int>& of_server);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // How the session has ended, by itself or because its time is up; empty while it goes on.
  std::string Ended() const;
  // Ends it. False: its process is stuck in a driver, and counted by `StuckProcesses`.
  bool End();
  // When the time is up.
  Deadline end() const { return end_; }
  double seconds() const;
  const std::string& peer() const { return peer_; }

 private:
  Socket client_;
  const std::string peer_;
  const Clock::time_point begin_ = Clock::now();
  const Deadline end_;
  ChildProcess process_;
};

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_SESSION_H_
