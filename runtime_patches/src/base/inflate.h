// Texts that were packed to save space in the file: raw DEFLATE (RFC 1951), as zlib writes it.
#ifndef HETCOMP_INFLATE_H_
#define HETCOMP_INFLATE_H_

#include <string>
#include <string_view>

namespace hetcomp {

// What hetcomp/codegen/image.py packed: its size as u64, little-endian, then DEFLATE; nothing for
// nothing. Throws Error(kInput) where that is not what it is given.
std::string Unpack(std::string_view packed);

}  // namespace hetcomp

#endif  // HETCOMP_INFLATE_H_
