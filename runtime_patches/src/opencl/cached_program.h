// The model's OpenCL program: from the cache where its binary is there, else compiled and kept.
#ifndef HETCOMP_CACHED_PROGRAM_H_
#define HETCOMP_CACHED_PROGRAM_H_

#include <string>
#include <string_view>

#include "opencl/opencl_build.h"
#include "opencl/opencl_select.h"
#include "opencl/program_cache.h"

namespace hetcomp {

// What the caller wants kept, and where.
struct CacheChoice {
  std::string folder;   // "" = nothing is kept
  bool always = false;  // also where the driver keeps compiled programs itself
};

// Never released: it belongs to the device, which is never torn down.
class CachedProgram {
 public:
  // `kernels` is packed, see inflate.h. Throws Error(kDevice) where the source does not compile.
  CachedProgram(const ClHandles& cl, const DeviceChoice& device, MemoryKind memory,
                const AtomicsSpelling& spelling, std::string_view kernels,
                const CacheChoice& choice);

  cl_program program() const { return program_; }
  // "hit", "miss", or "off" where nothing is kept.
  const char* outcome() const;

  // Keeps the binary of a program that was compiled. Once kernels have run: some drivers compile
  // them only then, and put what they have compiled into the binary.
  void Keep();

 private:
  const ClHandles cl_;
  const ProgramCache cache_;
  std::string key_;
  cl_program program_ = nullptr;
  bool hit_ = false;
  bool kept_ = false;
};

}  // namespace hetcomp

#endif  // HETCOMP_CACHED_PROGRAM_H_
