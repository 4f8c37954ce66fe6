// Waits for clients of TVM's RPC and serves one at a time.
#ifndef HETCOMP_RPC_SERVER_H_
#define HETCOMP_RPC_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "hello.h"
#include "options.h"
#include "session.h"
#include "socket.h"
#include "tracker.h"
#include "work_folder.h"

namespace hetcomp::rpc {

// A client opens with a magic number and a key. To the key `client:KEY` the server gives a session,
// or says that it is taken; to `status` it answers with JSON: what it is, whom it serves, the
// machine, and how many processes are stuck. Throws std::runtime_error where it cannot listen.
class Server {
 public:
  explicit Server(const Options& options);

  int port() const { return listener_.port(); }
  // Serves until SIGTERM or SIGINT.
  void Run();

 private:
  void Await(int wake);
  void AcceptClient();
  void ReadHellos();
  void HandleClient(Socket client, const std::string& key);
  void OpenSession(Socket client, const std::string& key);
  void ReapSession();
  std::vector<int> Descriptors() const;
  std::string StatusJson() const;

  const Options options_;
  const std::string device_json_;
  WorkFolder folder_;
  const Socket listener_;
  Tracker tracker_;
  std::vector<Hello> hellos_;  // of clients that have not said all of it
  std::unique_ptr<Session> session_;
  std::string last_;  // how the last session ended
};

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_SERVER_H_
