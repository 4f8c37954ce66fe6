#include "model/image.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "base/checksum.h"
#include "base/error.h"

extern "C" {
__attribute__((visibility("hidden"))) extern const char hetcomp_image_begin[];
__attribute__((visibility("hidden"))) extern const char hetcomp_image_end[];
}

namespace hetcomp {
namespace {

constexpr char kMagic[8] = {'H', 'E', 'T', 'C', 'O', 'M', 'P', '\0'};
constexpr uint32_t kFormat = 6;
constexpr size_t kPageBytes = 4096;
constexpr size_t kMoveBytes = size_t{4} << 20;

// Little-endian, as hetcomp/codegen/image.py writes it.
struct Header {
  char magic[8];
  uint32_t format;
  uint32_t zero;
  uint64_t json_size;
  uint64_t source_size;
  uint64_t constants_offset;
  uint64_t constants_size;
  uint64_t total_size;
  uint64_t constants_sum;
  uint32_t text_crc;
  uint32_t code_crc;  // of what is outside the image; hetcomp.load checks it
  uint32_t header_crc;
  uint32_t zero_too;
};
static_assert(sizeof(Header) == 80, "the image header is packed to 80 bytes");

bool ChecksumFits(Header header) {
  const uint32_t expected = header.header_crc;
  header.header_crc = 0;
  return Crc32({reinterpret_cast<const char*>(&header), sizeof(header)}) == expected;
}

bool ExtentsFit(const Header& header, size_t available) {
  if (header.total_size > available || header.json_size > header.total_size) return false;
  if (header.source_size > header.total_size || header.constants_size > header.total_size) {
    return false;
  }
  const uint64_t text_end = sizeof(Header) + header.json_size + header.source_size;
  return header.constants_offset % kPageBytes == 0 && text_end <= header.constants_offset &&
         header.constants_offset <= header.total_size &&
         header.constants_size <= header.total_size - header.constants_offset;
}

// The whole pages of what is given, of 4 KiB or more. A failure costs memory, nothing else. The
// pages are those of a file, mapped read-only.
void Release(const char* begin, size_t size) {
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t first = (address + page - 1) / page * page;
  const uintptr_t last = (address + size) / page * page;
  if (first < last) {
    static_cast<void>(madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED));
  }
}

}  // namespace

void MoveConstants(const Image& image, char* to) {
  for (size_t offset = 0; offset < image.constants_bytes; offset += kMoveBytes) {
    const size_t size = std::min(kMoveBytes, image.constants_bytes - offset);
    std::memcpy(to + offset, image.constants + offset, size);
    Release(image.constants + offset, size);
  }
}

void ReleaseConstants(const Image& image) { Release(image.constants, image.constants_bytes); }

Image ReadImage() {
  const char* begin = hetcomp_image_begin;
  const size_t available = static_cast<size_t>(hetcomp_image_end - begin);
  Header header;
  if (available < sizeof(header)) ThrowInput("model image: no header");
  std::memcpy(&header, begin, sizeof(header));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
    ThrowInput("model image: wrong magic number");
  }
  if (header.format != kFormat) {
    ThrowInput("model image: format " + std::to_string(header.format) + ", this runtime reads " +
               std::to_string(kFormat));
  }
  if (!ChecksumFits(header) || !ExtentsFit(header, available)) {
    ThrowInput("model image: damaged header");
  }
  Image image;
  image.json = {begin + sizeof(Header), static_cast<size_t>(header.json_size)};
  image.opencl_source = {image.json.data() + image.json.size(),
                         static_cast<size_t>(header.source_size)};
  image.constants = begin + header.constants_offset;
  image.constants_bytes = static_cast<size_t>(header.constants_size);
  image.constants_sum = header.constants_sum;
  const std::string_view text(image.json.data(), image.json.size() + image.opencl_source.size());
  if (Crc32(text) != header.text_crc) ThrowInput("model image: damaged description (CRC)");
  return image;
}

void CheckConstants(const Image& image) {
  static std::atomic<bool> checked{false};
  if (checked.load()) return;
  if (WordSum({image.constants, image.constants_bytes}) != image.constants_sum) {
    ThrowInput("model image: damaged weights (checksum)");
  }
  checked.store(true);
}

}  // namespace hetcomp
