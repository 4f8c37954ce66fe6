#include "socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>

namespace hetcomp::rpc {
namespace {

constexpr int kBacklog = 8;
constexpr int32_t kLongestText = 1 << 20;
// A client that vanished is noticed after kIdleS + kProbes * kBetweenS.
constexpr int kIdleS = 15;
constexpr int kBetweenS = 5;
constexpr int kProbes = 3;

using Clock = std::chrono::steady_clock;

[[noreturn]] void Fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

void Set(int fd, int level, int option, int value) {
  if (setsockopt(fd, level, option, &value, sizeof(value)) != 0) Fail("setsockopt");
}

// Waits until `events` can be done without blocking.
void Await(int fd, short events, Clock::time_point end) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) throw std::runtime_error("no answer in time");
    pollfd item{fd, events, 0};
    const int ready = poll(&item, 1, static_cast<int>(left.count()));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) Fail("poll");
  }
}

Clock::time_point In(int timeout_ms) {
  return Clock::now() + std::chrono::milliseconds(timeout_ms);
}

// The first address of `host` with which `use` makes a socket.
Socket FirstOf(const std::string& host, int port, int flags,
               const std::function<Socket(const addrinfo&)>& use) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status != 0) throw std::runtime_error(host + ": " + gai_strerror(status));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  std::string why;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    try {
      return use(*address);
    } catch (const std::runtime_error& error) {
      why = error.what();
    }
  }
  throw std::runtime_error(host + ":" + std::to_string(port) + ": " + why);
}

Socket New(const addrinfo& address) {
  const int type = address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK;
  Socket made(socket(address.ai_family, type, address.ai_protocol));
  if (!made.open()) Fail("socket");
  return made;
}

}  // namespace

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

Socket Socket::Listen(const std::string& host, int port) {
  return FirstOf(host, port, AI_PASSIVE, [](const addrinfo& address) {
    Socket made = New(address);
    Set(made.fd_, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(made.fd_, address.ai_addr, address.ai_addrlen) != 0) Fail("bind");
    if (listen(made.fd_, kBacklog) != 0) Fail("listen");
    return made;
  });
}

Socket Socket::Connect(const std::string& host, int port, int timeout_ms) {
  return FirstOf(host, port, 0, [timeout_ms](const addrinfo& address) {
    Socket made = New(address);
    if (connect(made.fd_, address.ai_addr, address.ai_addrlen) == 0) return made;
    if (errno != EINPROGRESS) Fail("connect");
    Await(made.fd_, POLLOUT, In(timeout_ms));
    socklen_t size = sizeof(errno);
    if (getsockopt(made.fd_, SOL_SOCKET, SO_ERROR, &errno, &size) != 0 || errno != 0) {
      Fail("connect");
    }
    return made;
  });
}

Socket Socket::Accept() const {
  Socket made(accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC));
  if (!made.open()) Fail("accept");
  Set(made.fd_, IPPROTO_TCP, TCP_NODELAY, 1);
  Set(made.fd_, SOL_SOCKET, SO_KEEPALIVE, 1);
  Set(made.fd_, IPPROTO_TCP, TCP_KEEPIDLE, kIdleS);
  Set(made.fd_, IPPROTO_TCP, TCP_KEEPINTVL, kBetweenS);
  Set(made.fd_, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  return made;
}

int Socket::port() const {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) Fail("getsockname");
  return address.ss_family == AF_INET6 ? ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port)
                                       : ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
}

std::string Socket::peer() const {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  char name[NI_MAXHOST] = "";
  if (getpeername(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "nobody";
  const int status = getnameinfo(reinterpret_cast<sockaddr*>(&address), size, name, sizeof(name),
                                 nullptr, 0, NI_NUMERICHOST);
  return status == 0 ? name : "unknown";
}

int32_t Socket::ReadInt(int timeout_ms) const {
  int32_t value = 0;
  Read(&value, sizeof(value), timeout_ms);
  return value;
}

std::string Socket::ReadText(int timeout_ms) const {
  const int32_t size = ReadInt(timeout_ms);
  if (size < 0 || size > kLongestText) throw std::runtime_error("a text of an impossible length");
  std::string text(static_cast<size_t>(size), '\0');
  Read(text.data(), text.size(), timeout_ms);
  return text;
}

void Socket::WriteInt(int32_t value, int timeout_ms) const {
  Write(&value, sizeof(value), timeout_ms);
}

void Socket::WriteText(const std::string& text, int timeout_ms) const {
  WriteInt(static_cast<int32_t>(text.size()), timeout_ms);
  Write(text.data(), text.size(), timeout_ms);
}

void Socket::Read(void* data, size_t size, int timeout_ms) const {
  const auto end = In(timeout_ms);
  char* next = static_cast<char*>(data);
  while (size > 0) {
    Await(fd_, POLLIN, end);
    const ssize_t got = recv(fd_, next, size, MSG_DONTWAIT);
    if (got == 0) throw std::runtime_error("the other end has closed");
    if (got < 0 && errno != EAGAIN && errno != EINTR) Fail("recv");
    if (got <= 0) continue;
    next += got;
    size -= static_cast<size_t>(got);
  }
}

void Socket::Write(const void* data, size_t size, int timeout_ms) const {
  const auto end = In(timeout_ms);
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    Await(fd_, POLLOUT, end);
    const ssize_t sent = send(fd_, next, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) Fail("send");
    if (sent <= 0) continue;
    next += sent;
    size -= static_cast<size_t>(sent);
  }
}

}  // namespace hetcomp::rpc
