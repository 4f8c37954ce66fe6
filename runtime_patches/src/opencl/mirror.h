// The device's own copies of a model's arena and constants, where it does not share the CPU's.
#ifndef HETCOMP_MIRROR_H_
#define HETCOMP_MIRROR_H_

#include <cstddef>
#include <memory>

#include "model/image.h"
#include "model/model.h"
#include "opencl/device_block.h"

namespace hetcomp {

// The arena has the same layout as the CPU's. See DeviceBlock on lifetime and locks.
class Mirror {
 public:
  Mirror(const ClHandles& cl, MemoryKind memory, const Image& image, size_t arena_bytes,
         double timeout_us)
      : cl_(cl),
        memory_(memory),
        timeout_us_(timeout_us),
        constants_(cl, memory, image.constants_bytes, image.constants, timeout_us),
        arena_(cl, memory, arena_bytes, nullptr, timeout_us) {}

  DeviceBlock& arena() { return arena_; }

  // The block that holds a tensor.
  const DeviceBlock& BlockOf(const Tensor& tensor) const {
    return tensor.constant ? constants_ : arena_;
  }

  // Another block of the same kind.
  std::unique_ptr<DeviceBlock> Allocate(size_t bytes, const void* data) const {
    return std::make_unique<DeviceBlock>(cl_, memory_, bytes, data, timeout_us_);
  }

 private:
  const ClHandles cl_;
  const MemoryKind memory_;
  const double timeout_us_;
  DeviceBlock constants_;
  DeviceBlock arena_;
};

}  // namespace hetcomp

#endif  // HETCOMP_MIRROR_H_
