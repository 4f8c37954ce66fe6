// An open file that is closed by its owner.
#ifndef HETCOMP_RPC_DESCRIPTOR_H_
#define HETCOMP_RPC_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace hetcomp::rpc {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_DESCRIPTOR_H_
