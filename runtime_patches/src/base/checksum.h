// Checksums of the image and of cached programs: against damage, not against an attacker.
#ifndef HETCOMP_CHECKSUM_H_
#define HETCOMP_CHECKSUM_H_

#include <cstdint>
#include <string_view>

namespace hetcomp {

// CRC-32 as zlib computes it. For texts: 0.4 GB/s.
uint32_t Crc32(std::string_view data);

// Sum of (w ^ w >> 32) * (2 i + 1) modulo 2^64 over the little-endian 64-bit words w of the data,
// the last one filled up with zeros; i counts words. For weights: as fast as memory on any CPU. It
// differs after any change within one word, and after any two flipped bits. The same function is
// in hetcomp/codegen/image.py.
uint64_t WordSum(std::string_view data);

}  // namespace hetcomp

#endif  // HETCOMP_CHECKSUM_H_
