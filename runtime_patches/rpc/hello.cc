#include "hello.h"

#include <cstring>
#include <stdexcept>

namespace hetcomp::rpc {
namespace {

constexpr int32_t kLongestKey = 4096;

}  // namespace

bool Hello::Read() {
  while (text_.size() < size_) {
    const size_t before = text_.size();
    text_.resize(size_);
    const size_t got = client_.ReadArrived(&text_[before], size_ - before);
    text_.resize(before + got);
    if (got == 0) {
      if (LeftMs(end_) == 0) throw std::runtime_error("said nothing in time");
      return false;
    }
    if (text_.size() == kHead) size_ += KeySize();
  }
  return true;
}

size_t Hello::KeySize() const {
  int32_t head[2];
  std::memcpy(head, text_.data(), sizeof(head));
  if (head[0] != kRpcMagic) throw std::runtime_error("is none of TVM's RPC");
  if (head[1] < 0 || head[1] > kLongestKey) throw std::runtime_error("a key of impossible length");
  return static_cast<size_t>(head[1]);
}

}  // namespace hetcomp::rpc
