// How TVM calls compiled functions: the part of its C ABI that kernels of raw pointers need.
#ifndef ARM_DRIVER_H_
#define ARM_DRIVER_H_

#include <stdint.h>

typedef struct {
  int32_t type_index;  // 1: integer, 4: pointer
  uint32_t zero_padding;
  union {
    int64_t integer;
    void* pointer;
  };
} Any;

typedef int (*Kernel)(void* self, const Any* arguments, int32_t count, Any* result);

extern const Kernel kernels[];

#endif  // ARM_DRIVER_H_
