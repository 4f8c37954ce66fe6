// The table of CPU kernels that the compiler generates, one per model.so.
#ifndef HETCOMP_KERNELS_H_
#define HETCOMP_KERNELS_H_

#include <tvm/ffi/c_api.h>

#include <cstdint>

extern "C" {

struct HetcompKernel {
  const char* name;
  const TVMFFISafeCallType* versions;  // in the order of the image's
};

__attribute__((visibility("hidden"))) extern const HetcompKernel hetcomp_kernels[];
__attribute__((visibility("hidden"))) extern const int hetcomp_kernel_count;
__attribute__((visibility("hidden"))) extern const int hetcomp_version_count;
}

#endif  // HETCOMP_KERNELS_H_
