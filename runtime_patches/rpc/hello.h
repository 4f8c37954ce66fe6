// What a client opens with.
#ifndef HETCOMP_RPC_HELLO_H_
#define HETCOMP_RPC_HELLO_H_

#include <cstdint>
#include <string>
#include <utility>

#include "deadline.h"
#include "socket.h"

namespace hetcomp::rpc {

// Of TVM's RPC protocol.
constexpr int32_t kRpcMagic = 0xff271;

// A magic number and a key, read as they arrive, so that a client that is silent or slow holds up
// nobody else.
class Hello {
 public:
  explicit Hello(Socket client) : client_(std::move(client)) {}

  // Takes what has arrived; true once that is all. Throws std::runtime_error where it comes from no
  // client of TVM's RPC, or is late.
  bool Read();
  // When it is late.
  Deadline end() const { return end_; }
  const Socket& client() const { return client_; }

  // Once it is all there: the key, and the client for whoever serves it.
  std::string key() const { return text_.substr(kHead); }
  Socket Release() { return std::move(client_); }

 private:
  static constexpr size_t kHead = 2 * sizeof(int32_t);  // magic number, length of the key
  static constexpr int kMostMs = 5000;

  size_t KeySize() const;

  Socket client_;
  std::string text_;
  size_t size_ = kHead;  // of what is expected
  Deadline end_ = In(kMostMs);
};

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_HELLO_H_
