#include "socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <stdexcept>

#include "resolve.h"

namespace hetcomp::rpc {
namespace {

constexpr int kBacklog = 8;
constexpr int32_t kLongestText = 1 << 20;
// A client that vanished is noticed after kIdleS + kProbes * kBetweenS while it is listened to, and
// after kSilenceMs while something is sent to it, which alone would take the system 15 minutes.
constexpr int kIdleS = 15;
constexpr int kBetweenS = 5;
constexpr int kProbes = 3;
constexpr int kSilenceMs = 30'000;

[[noreturn]] void Fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

void Set(int fd, int level, int option, int value) {
  if (setsockopt(fd, level, option, &value, sizeof(value)) != 0) Fail("setsockopt");
}

// The first of a machine's addresses with which `use` makes a socket.
Socket FirstOf(const std::string& host, int port, Deadline end,
               const std::function<Socket(const Address&)>& use) {
  std::string why;
  for (const Address& address : Resolve(host, port, end)) {
    try {
      return use(address);
    } catch (const std::runtime_error& error) {
      why = error.what();
    }
  }
  throw std::runtime_error(host + ":" + std::to_string(port) + ": " + why);
}

int New(const Address& address) {
  const int fd =
      socket(address.value.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (fd < 0) Fail("socket");
  return fd;
}

const sockaddr* Pointer(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// How a connection that was begun has gone.
void CheckConnected(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) Fail("getsockopt");
  if (error != 0) throw std::runtime_error(std::string("connect: ") + std::strerror(error));
}

}  // namespace

Socket Socket::Listen(const std::string& host, int port, Deadline end) {
  return FirstOf(host, port, end, [](const Address& address) {
    Socket made(New(address));
    Set(made.fd(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(made.fd(), Pointer(address.value), address.size) != 0) Fail("bind");
    if (listen(made.fd(), kBacklog) != 0) Fail("listen");
    return made;
  });
}

Socket Socket::Connect(const std::string& host, int port, Deadline end) {
  return FirstOf(host, port, end, [end](const Address& address) {
    Socket made(New(address));
    if (connect(made.fd(), Pointer(address.value), address.size) == 0) return made;
    if (errno != EINPROGRESS) Fail("connect");
    Await(made.fd(), POLLOUT, end);
    CheckConnected(made.fd());
    return made;
  });
}

Socket Socket::Accept() const {
  Socket made(accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!made.open() && errno == EAGAIN) return made;
  if (!made.open()) Fail("accept");
  Set(made.fd(), IPPROTO_TCP, TCP_NODELAY, 1);
  Set(made.fd(), SOL_SOCKET, SO_KEEPALIVE, 1);
  Set(made.fd(), IPPROTO_TCP, TCP_KEEPIDLE, kIdleS);
  Set(made.fd(), IPPROTO_TCP, TCP_KEEPINTVL, kBetweenS);
  Set(made.fd(), IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  Set(made.fd(), IPPROTO_TCP, TCP_USER_TIMEOUT, kSilenceMs);
  return made;
}

void Socket::HangUp() const { shutdown(fd(), SHUT_RDWR); }

int Socket::port() const {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) Fail("getsockname");
  return address.ss_family == AF_INET6 ? ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port)
                                       : ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
}

std::string Socket::peer() const {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  char name[NI_MAXHOST] = "";
  if (getpeername(fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return "nobody";
  const int status = getnameinfo(reinterpret_cast<sockaddr*>(&address), size, name, sizeof(name),
                                 nullptr, 0, NI_NUMERICHOST);
  return status == 0 ? name : "unknown";
}

size_t Socket::ReadArrived(void* data, size_t size) const {
  const ssize_t got = recv(fd(), data, size, MSG_DONTWAIT);
  if (got == 0) throw std::runtime_error("the other end has closed");
  if (got < 0 && errno != EAGAIN && errno != EINTR) Fail("recv");
  return static_cast<size_t>(std::max<ssize_t>(0, got));
}

int32_t Socket::ReadInt(Deadline end) const {
  int32_t value = 0;
  Read(&value, sizeof(value), end);
  return value;
}

std::string Socket::ReadText(Deadline end) const {
  const int32_t size = ReadInt(end);
  if (size < 0 || size > kLongestText) throw std::runtime_error("a text of an impossible length");
  std::string text(static_cast<size_t>(size), '\0');
  Read(text.data(), text.size(), end);
  return text;
}

void Socket::WriteInt(int32_t value, Deadline end) const { Write(&value, sizeof(value), end); }

void Socket::WriteText(const std::string& text, Deadline end) const {
  WriteInt(static_cast<int32_t>(text.size()), end);
  Write(text.data(), text.size(), end);
}

void Socket::Read(void* data, size_t size, Deadline end) const {
  char* next = static_cast<char*>(data);
  while (size > 0) {
    const size_t got = ReadWithin(fd(), next, size, end);
    if (got == 0) throw std::runtime_error("the other end has closed");
    next += got;
    size -= got;
  }
}

void Socket::Write(const void* data, size_t size, Deadline end) const {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    Await(fd(), POLLOUT, end);
    const ssize_t sent = send(fd(), next, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) Fail("send");
    if (sent <= 0) continue;
    next += sent;
    size -= static_cast<size_t>(sent);
  }
}

}  // namespace hetcomp::rpc
