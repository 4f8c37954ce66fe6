// For programs of the runtime without a model, whose kernels it wants to be linked in.
#ifndef HETCOMP_NO_KERNELS_H_
#define HETCOMP_NO_KERNELS_H_

#include "model/kernels.h"

extern "C" {
const HetcompKernel hetcomp_kernels[] = {{nullptr, nullptr}};
const int hetcomp_kernel_count = 0;
const int hetcomp_version_count = 1;
}

#endif  // HETCOMP_NO_KERNELS_H_
