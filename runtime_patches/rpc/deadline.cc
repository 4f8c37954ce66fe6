#include "deadline.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace hetcomp::rpc {
namespace {

[[noreturn]] void Fail(const std::string& call) {
  throw std::runtime_error(call + ": " + std::strerror(errno));
}

}  // namespace

Deadline In(int ms) { return Clock::now() + std::chrono::milliseconds(ms); }

int LeftMs(Deadline end) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

void Await(int fd, short events, Deadline end) {
  for (;;) {
    const int left_ms = LeftMs(end);
    if (left_ms == 0) throw std::runtime_error("no answer in time");
    pollfd item{fd, events, 0};
    const int ready = poll(&item, 1, left_ms);
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) Fail("poll");
  }
}

size_t ReadWithin(int fd, void* data, size_t size, Deadline end) {
  for (;;) {
    Await(fd, POLLIN, end);
    const ssize_t got = read(fd, data, size);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EAGAIN && errno != EINTR) Fail("read");
  }
}

}  // namespace hetcomp::rpc
