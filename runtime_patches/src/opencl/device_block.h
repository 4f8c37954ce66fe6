// A block of memory on a device that does not share its memory finely with the CPU.
#ifndef HETCOMP_DEVICE_BLOCK_H_
#define HETCOMP_DEVICE_BLOCK_H_

#include <cstddef>
#include <vector>

#include "lanes/tier.h"
#include "model/byte_rect.h"
#include "opencl/opencl_build.h"

namespace hetcomp {

// Coarse-grained SVM, which the CPU maps to copy, or a buffer, which the queue copies. No kernel
// may be using it when it goes: after a hang, leak it. Call with the queue's turn; all
// waits are bounded, and everything throws Error(kDevice).
class DeviceBlock {
 public:
  // `memory`: not kFine. The block is filled with a copy of `data`, or zeroed where that is null.
  DeviceBlock(const ClHandles& cl, MemoryKind memory, size_t bytes, const void* data,
              double timeout_us);
  ~DeviceBlock();
  DeviceBlock(const DeviceBlock&) = delete;
  DeviceBlock& operator=(const DeviceBlock&) = delete;

  size_t bytes() const { return bytes_; }

  // Gives a kernel the block from `offset` on; of a buffer, from its beginning on: the kernel adds
  // the offset, see HETCOMP_SHIFT in prologue.cc.
  void SetArgument(cl_kernel kernel, cl_uint index, size_t offset) const;

  // Copies to the device, after all that is in the queue and before what comes next. `host` holds
  // the same bytes at the same offsets and must stay as it is until the next command has begun.
  void Upload(const std::vector<ByteRect>& rects, const char* host);

  // Whether copies to the CPU can be put into the queue. If not, Download them in time.
  bool downloads_ahead() const { return buffer_ != nullptr; }
  // Puts copies to the CPU behind what is in the queue; `event`, which may be null, is the last's.
  void EnqueueDownload(const std::vector<ByteRect>& rects, char* host, cl_event* event);
  // Copies to the CPU what the device has finished.
  void Download(const std::vector<ByteRect>& rects, char* host);

 private:
  void FreeIfIdle();
  void Map(size_t begin, size_t bytes, cl_bitfield flags);
  void Unmap(size_t begin);

  const ClHandles cl_;
  const size_t bytes_;
  const double timeout_us_;
  char* svm_ = nullptr;
  cl_mem buffer_ = nullptr;
};

}  // namespace hetcomp

#endif  // HETCOMP_DEVICE_BLOCK_H_
