#include "opencl/device_block.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "base/error.h"
#include "opencl/cl_events.h"

namespace hetcomp {
namespace {

constexpr cl_uint kSvmAlignment = 128;

void CopyRects(const std::vector<ByteRect>& rects, const char* from, char* to) {
  for (const ByteRect& rect : rects) {
    for (size_t row = 0; row < rect.rows; ++row) {
      const size_t offset = rect.offset + row * rect.pitch;
      std::memcpy(to + offset, from + offset, rect.width);
    }
  }
}

// The run of bytes from the first to the last of all rectangles.
ByteRun Bounds(const std::vector<ByteRect>& rects) {
  ByteRun bounds{rects.front().offset, rects.front().end()};
  for (const ByteRect& rect : rects) {
    bounds.begin = std::min(bounds.begin, rect.offset);
    bounds.end = std::max(bounds.end, rect.end());
  }
  return bounds;
}

}  // namespace

DeviceBlock::DeviceBlock(const ClHandles& cl, MemoryKind memory, size_t bytes, const void* data,
                         double timeout_us)
    : cl_(cl), bytes_(std::max(bytes, size_t{1})), timeout_us_(timeout_us) {
  const std::vector<char> zeros(data == nullptr ? bytes_ : 0);
  const char* content = data == nullptr ? zeros.data() : static_cast<const char*>(data);
  if (memory == MemoryKind::kBuffer) {
    HETCOMP_CL_CREATE(buffer_, cl.api->clCreateBuffer, cl.context,
                      CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes_, const_cast<char*>(content));
    return;
  }
  svm_ =
      static_cast<char*>(cl.api->clSVMAlloc(cl.context, CL_MEM_READ_WRITE, bytes_, kSvmAlignment));
  if (svm_ == nullptr) {
    throw Error(ErrorKind::kDevice, "clSVMAlloc of " + std::to_string(bytes_) + " bytes failed");
  }
  try {
    Upload({{0, bytes_, bytes_, 1}}, content);
  } catch (...) {
    FreeIfIdle();
    throw;
  }
}

// After an error the queue may use the memory still: then it stays.
void DeviceBlock::FreeIfIdle() {
  try {
    if (FinishWithin(cl_, timeout_us_) == WaitResult::kReached) {
      cl_.api->clSVMFree(cl_.context, svm_);
    }
  } catch (const Error&) {  // the first one is thrown
  }
}

DeviceBlock::~DeviceBlock() {
  if (buffer_ != nullptr) cl_.api->clReleaseMemObject(buffer_);
  if (svm_ != nullptr) cl_.api->clSVMFree(cl_.context, svm_);
}

void DeviceBlock::SetArgument(cl_kernel kernel, cl_uint index, size_t offset) const {
  if (svm_ != nullptr) {
    SetPointerArgument(cl_, kernel, index, svm_ + offset);
  } else {
    HETCOMP_CL_CHECK(cl_.api->clSetKernelArg(kernel, index, sizeof(buffer_), &buffer_));
  }
}

void DeviceBlock::Upload(const std::vector<ByteRect>& rects, const char* host) {
  if (rects.empty()) return;
  if (svm_ != nullptr) {
    const ByteRun bounds = Bounds(rects);
    Map(bounds.begin, bounds.end - bounds.begin, CL_MAP_READ | CL_MAP_WRITE);
    CopyRects(rects, host, svm_);
    Unmap(bounds.begin);
    return;
  }
  for (const ByteRect& rect : rects) {
    const size_t origin[] = {rect.offset, 0, 0};
    const size_t region[] = {rect.width, rect.rows, 1};
    HETCOMP_CL_CHECK(cl_.api->clEnqueueWriteBufferRect(cl_.queue, buffer_, CL_FALSE, origin, origin,
                                                       region, rect.pitch, 0, rect.pitch, 0, host,
                                                       0, nullptr, nullptr));
  }
}

void DeviceBlock::EnqueueDownload(const std::vector<ByteRect>& rects, char* host, cl_event* event) {
  for (const ByteRect& rect : rects) {
    const size_t origin[] = {rect.offset, 0, 0};
    const size_t region[] = {rect.width, rect.rows, 1};
    cl_event* last = &rect == &rects.back() ? event : nullptr;
    HETCOMP_CL_CHECK(cl_.api->clEnqueueReadBufferRect(cl_.queue, buffer_, CL_FALSE, origin, origin,
                                                      region, rect.pitch, 0, rect.pitch, 0, host, 0,
                                                      nullptr, last));
  }
}

void DeviceBlock::Download(const std::vector<ByteRect>& rects, char* host) {
  if (rects.empty()) return;
  const ByteRun bounds = Bounds(rects);
  Map(bounds.begin, bounds.end - bounds.begin, CL_MAP_READ);
  CopyRects(rects, svm_, host);
  Unmap(bounds.begin);
}

// Behind all that is in the queue, so that no kernel runs while the CPU has the bytes.
void DeviceBlock::Map(size_t begin, size_t bytes, cl_bitfield flags) {
  ClEvent mapped(cl_.api);
  HETCOMP_CL_CHECK(cl_.api->clEnqueueSVMMap(cl_.queue, CL_FALSE, flags, svm_ + begin, bytes, 0,
                                            nullptr, mapped.Receive()));
  HETCOMP_CL_CHECK(cl_.api->clFlush(cl_.queue));
  if (PollEvent(cl_, mapped.get(), timeout_us_) == WaitResult::kReached) return;
  throw TimeoutError("no memory mapped within " + std::to_string(std::lround(timeout_us_ * 1e-3)) +
                     " ms");
}

void DeviceBlock::Unmap(size_t begin) {
  HETCOMP_CL_CHECK(cl_.api->clEnqueueSVMUnmap(cl_.queue, svm_ + begin, 0, nullptr, nullptr));
}

}  // namespace hetcomp
