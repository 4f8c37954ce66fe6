// The server's side of TVM's tracker, which hands out devices by key.
#ifndef HETCOMP_RPC_TRACKER_H_
#define HETCOMP_RPC_TRACKER_H_

#include <string>

#include "deadline.h"
#include "socket.h"

namespace hetcomp::rpc {

// Tells a tracker that this device is free, again and again: a tracker that was restarted has
// forgotten it, and a client that asked for it may never come. Without a host it does nothing.
class Tracker {
 public:
  // `address`: what clients connect to, if not the address that the tracker sees.
  Tracker(std::string host, int port, std::string key, std::string address, int own_port);

  // What a client's key has to be now.
  const std::string& match_key() const { return match_key_; }
  // Of the connection; -1: none.
  int fd() const { return socket_.fd(); }

  // The device is free, or taken. Announced by the next `Heartbeat`.
  void Free();
  void Taken();

  // Does what is due, within two seconds; where the tracker does not answer, tries again later.
  void Heartbeat();
  // When `Heartbeat` is due; far in the future where it is not.
  Deadline due() const;

 private:
  void Introduce(Deadline end);
  void Announce(Deadline end);
  bool Known(Deadline end);
  std::string Ask(const std::string& request, Deadline end);

  const std::string host_;
  const int port_;
  const std::string key_;
  const std::string address_;
  const int own_port_;
  Socket socket_;
  std::string match_key_;
  bool free_ = true;
  bool announced_ = false;
  int unknown_ = 0;
  Deadline due_ = Clock::now();
};

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_TRACKER_H_
