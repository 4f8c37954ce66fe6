// A TCP socket whose every wait is bounded.
#ifndef HETCOMP_RPC_SOCKET_H_
#define HETCOMP_RPC_SOCKET_H_

#include <cstdint>
#include <string>
#include <utility>

namespace hetcomp::rpc {

// Owns a file descriptor. Functions throw std::runtime_error, naming call and reason.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket();

  // Listens at `host`, a name or address; port 0 takes any that is free.
  static Socket Listen(const std::string& host, int port);
  static Socket Connect(const std::string& host, int port, int timeout_ms);

  // The next connection. It ends by itself when its other end is silent for about half a minute.
  Socket Accept() const;

  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  int port() const;
  // Address of the other end.
  std::string peer() const;

  // TVM's wire format: numbers in the machine's order, texts behind their length.
  int32_t ReadInt(int timeout_ms) const;
  std::string ReadText(int timeout_ms) const;
  void WriteInt(int32_t value, int timeout_ms) const;
  void WriteText(const std::string& text, int timeout_ms) const;

 private:
  void Read(void* data, size_t size, int timeout_ms) const;
  void Write(const void* data, size_t size, int timeout_ms) const;

  int fd_ = -1;
};

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_SOCKET_H_
