// A TCP socket whose every wait is bounded.
#ifndef HETCOMP_RPC_SOCKET_H_
#define HETCOMP_RPC_SOCKET_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "deadline.h"
#include "descriptor.h"

namespace hetcomp::rpc {

// Functions throw std::runtime_error, naming call and reason.
class Socket {
 public:
  Socket() = default;

  // Listens at `host`, a name or address; port 0 takes any that is free.
  static Socket Listen(const std::string& host, int port, Deadline end);
  // Tries one address of `host` after the other.
  static Socket Connect(const std::string& host, int port, Deadline end);

  // The next connection; not open where there is none yet. It ends by itself when its other end is
  // silent for half a minute, whether something is being sent or not.
  Socket Accept() const;
  // Tells the other end that this is all, also where other processes have this socket.
  void HangUp() const;

  int fd() const { return fd_.get(); }
  bool open() const { return fd_.open(); }
  int port() const;
  // Address of the other end.
  std::string peer() const;

  // At most `size` bytes that have arrived, which may be none.
  size_t ReadArrived(void* data, size_t size) const;

  // TVM's wire format: numbers in the machine's order, texts behind their length.
  int32_t ReadInt(Deadline end) const;
  std::string ReadText(Deadline end) const;
  void WriteInt(int32_t value, Deadline end) const;
  void WriteText(const std::string& text, Deadline end) const;

 private:
  explicit Socket(int fd) : fd_(fd) {}
  void Read(void* data, size_t size, Deadline end) const;
  void Write(const void* data, size_t size, Deadline end) const;

  Descriptor fd_;
};

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_SOCKET_H_
