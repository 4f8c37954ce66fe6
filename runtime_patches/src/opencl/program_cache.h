// Compiled OpenCL programs in files of the user, so that the next process need not compile them.
//
// Nothing here is an error: without a folder that can be written, on a full disk, or where a file
// is damaged, foreign or somebody else's, programs are compiled. Processes may share a folder: a
// file appears whole or not at all.
#ifndef HETCOMP_PROGRAM_CACHE_H_
#define HETCOMP_PROGRAM_CACHE_H_

#include <initializer_list>
#include <string>
#include <string_view>

namespace hetcomp {

// Name of a program by all that determines its binary: 128 bits of FNV-1a, as 32 hexadecimal
// digits.
std::string ProgramKey(std::initializer_list<std::string_view> parts);

class ProgramCache {
 public:
  // Files go to `folder`, which is made when first needed; "" keeps nothing.
  explicit ProgramCache(std::string folder) : folder_(std::move(folder)) {}

  bool on() const { return !folder_.empty(); }
  // The binary kept under `key`; empty where there is none, or none that is intact.
  std::string Read(const std::string& key) const;
  // Keeps a binary, in place of an old one, and drops those not used for longest beyond the limit.
  void Write(const std::string& key, std::string_view binary) const;

 private:
  std::string PathOf(const std::string& key) const;
  void DropOldest() const;

  std::string folder_;
};

}  // namespace hetcomp

#endif  // HETCOMP_PROGRAM_CACHE_H_
