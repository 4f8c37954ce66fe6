// Code compiled once more for CPUs with wide vectors, without another file or instruction by hand.
#ifndef HETCOMP_NPU_WIDE_H_
#define HETCOMP_NPU_WIDE_H_

namespace hetcomp {

// A function that only calls another one, which becomes part of it with all that it calls.
#if defined(__x86_64__)
#define HETCOMP_WIDE                                                                           \
  __attribute__((flatten, target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=" \
                                 "512")))

inline bool HasWideVectors() {
  static const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
  return has;
}
#else
#define HETCOMP_WIDE

inline bool HasWideVectors() { return false; }
#endif

}  // namespace hetcomp

#endif  // HETCOMP_NPU_WIDE_H_
