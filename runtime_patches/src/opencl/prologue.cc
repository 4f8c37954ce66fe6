#include "opencl/prologue.h"

namespace hetcomp {
namespace {

// Asking for a scope that the compiler lacks is an error, and some drivers print it: so ask first.
// What the device info says about scopes is not to be trusted (PoCL 3.1 claims too much).
constexpr const char* kWidestScope =
    "#ifdef __opencl_c_atomic_scope_all_devices\n"
    "#define HETCOMP_SCOPE memory_scope_all_svm_devices\n"
    "#else\n"
    "#define HETCOMP_SCOPE memory_scope_device\n"
    "#endif\n"
    "#define HETCOMP_C11 1\n";

constexpr const char* kAllDevicesScope =
    "#define HETCOMP_SCOPE memory_scope_all_svm_devices\n"
    "#define HETCOMP_C11 1\n";

constexpr const char* kVolatile = "#define HETCOMP_C11 0\n";

}  // namespace

const std::array<AtomicsSpelling, 3> kAtomicsSpellings = {{
    {"CL3.0 atomics, widest scope", "-cl-std=CL3.0", kWidestScope},
    {"CL2.0 atomics, all_svm_devices scope", "-cl-std=CL2.0", kAllDevicesScope},
    {"CL1.2 volatile and mem_fence", "-cl-std=CL1.2", kVolatile},
}};

const char* MemoryMacros(MemoryKind memory) {
  return memory == MemoryKind::kBuffer ? "#define HETCOMP_BUFFERS 1\n" : "";
}

// The integers of `sync` are those of SyncBlock (sync.h): lines of 32 integers.
const char* const kPrologue = R"(
#if HETCOMP_C11
#define HETCOMP_ATOMIC(p) ((volatile __global atomic_int*)(p))
#define HETCOMP_LOAD(p) \
  atomic_load_explicit(HETCOMP_ATOMIC(p), memory_order_acquire, HETCOMP_SCOPE)
#define HETCOMP_STORE(p, v) \
  atomic_store_explicit(HETCOMP_ATOMIC(p), (v), memory_order_release, HETCOMP_SCOPE)
#define HETCOMP_INCREMENT(p) \
  atomic_fetch_add_explicit(HETCOMP_ATOMIC(p), 1, memory_order_acq_rel, HETCOMP_SCOPE)
inline __attribute__((always_inline)) int hetcomp_replace(__global int* p, int old, int value) {
  atomic_compare_exchange_strong_explicit(HETCOMP_ATOMIC(p), &old, value, memory_order_acq_rel,
                                          memory_order_acquire, HETCOMP_SCOPE);
  return old;
}
#else
inline __attribute__((always_inline)) int hetcomp_load_fenced(volatile __global int* p) {
  int value = *p;
  mem_fence(CLK_GLOBAL_MEM_FENCE);
  return value;
}
inline __attribute__((always_inline)) int hetcomp_increment_fenced(volatile __global int* p) {
  mem_fence(CLK_GLOBAL_MEM_FENCE);
  int value = atomic_inc(p);
  mem_fence(CLK_GLOBAL_MEM_FENCE);
  return value;
}
inline __attribute__((always_inline)) int hetcomp_replace(volatile __global int* p, int old,
                                                          int value) {
  mem_fence(CLK_GLOBAL_MEM_FENCE);
  int seen = atomic_cmpxchg(p, old, value);
  mem_fence(CLK_GLOBAL_MEM_FENCE);
  return seen;
}
#define HETCOMP_LOAD(p) hetcomp_load_fenced(p)
#define HETCOMP_STORE(p, v) \
  do { mem_fence(CLK_GLOBAL_MEM_FENCE); *(volatile __global int*)(p) = (v); } while (0)
#define HETCOMP_INCREMENT(p) hetcomp_increment_fenced(p)
#endif

// OpenCL C's prefetch() is empty in PoCL. An address is plain where the device is a CPU.
#if defined(__x86_64__) || defined(__aarch64__)
#define HETCOMP_PREFETCH(p) __builtin_prefetch((const void*)(size_t)(p), 0, 2)
#else
#define HETCOMP_PREFETCH(p) ((void)0)
#endif

// Where work-items share a tile, one of them waits and signals for the group. PoCL 3.1 compiles
// neither a barrier behind a return that all items of the group take, nor always one between
// branches in a loop: so what may be skipped stands in a loop of one turn, and CPUs, which know a
// barrier at compile time only, get two at a time.
#define HETCOMP_FIRST_ITEM (get_local_id(0) == 0 && get_local_id(1) == 0)
#if defined(__x86_64__) || defined(__aarch64__)
#define HETCOMP_BARRIER(fences) do { barrier(fences); barrier(fences); } while (0)
#else
#define HETCOMP_BARRIER(fences) barrier(fences)
#endif
#define HETCOMP_LOCAL_SYNC() HETCOMP_BARRIER(CLK_LOCAL_MEM_FENCE)
#define HETCOMP_GROUP_SYNC() HETCOMP_BARRIER(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)

// PoCL's own vloadn and vstoren fall into moves of 8 and 16 bytes; an access to a vector type that
// is aligned like its elements is one instruction.
#if defined(__x86_64__) || defined(__aarch64__)
#define HETCOMP_ACCESS_IN(space, type, n)                                               \
  static inline __attribute__((overloadable, always_inline)) type##n hetcomp_vload##n(  \
      size_t i, const space type* p) {                                                  \
    return *(const space hetcomp_##type##n*)(p + n * i);                                \
  }                                                                                     \
  static inline __attribute__((overloadable, always_inline)) void hetcomp_vstore##n(    \
      type##n value, size_t i, space type* p) {                                         \
    *(space hetcomp_##type##n*)(p + n * i) = value;                                     \
  }
#define HETCOMP_ACCESS(type, n)                                                \
  typedef type##n hetcomp_##type##n __attribute__((aligned(sizeof(type))));    \
  HETCOMP_ACCESS_IN(__global, type, n) HETCOMP_ACCESS_IN(__local, type, n) \
  HETCOMP_ACCESS_IN(__private, type, n)
#define HETCOMP_ACCESSES(type) \
  HETCOMP_ACCESS(type, 2) HETCOMP_ACCESS(type, 4) HETCOMP_ACCESS(type, 8) HETCOMP_ACCESS(type, 16)
HETCOMP_ACCESSES(char) HETCOMP_ACCESSES(short) HETCOMP_ACCESSES(int) HETCOMP_ACCESSES(long)
HETCOMP_ACCESSES(uchar) HETCOMP_ACCESSES(ushort) HETCOMP_ACCESSES(uint) HETCOMP_ACCESSES(ulong)
HETCOMP_ACCESSES(float)
#else
#define hetcomp_vload2 vload2
#define hetcomp_vload4 vload4
#define hetcomp_vload8 vload8
#define hetcomp_vload16 vload16
#define hetcomp_vstore2 vstore2
#define hetcomp_vstore4 vstore4
#define hetcomp_vstore8 vstore8
#define hetcomp_vstore16 vstore16
#endif

#define HETCOMP_CPU_EPOCH 0
#define HETCOMP_GPU_EPOCH 32
#define HETCOMP_GROUPS_DONE 64
#define HETCOMP_CPU_BASE 96
#define HETCOMP_GPU_BASE 97
#define HETCOMP_ABORT 98
#define HETCOMP_POLL_ROUNDS 99
#define HETCOMP_RUN 100
#define HETCOMP_GATE 128
#define HETCOMP_GATE_PASSED 160
#define HETCOMP_SHIFTS 192
#define HETCOMP_POLLS_PER_ROUND 1024
#define HETCOMP_ABORT_BY_KERNEL 2

// Whether the work-group may run. wait: -1 = no (warm-up), 0 = at once, k = after the CPU's k-th
// step. A wait that exceeds the poll limit raises the abort flag, which drains the queue.
inline __attribute__((always_inline)) int hetcomp_enter(__global int* sync, int wait) {
  if (wait < 0 || sync[HETCOMP_RUN] == 0 || HETCOMP_LOAD(sync + HETCOMP_ABORT) != 0) return 0;
  if (wait == 0) return 1;
  uint target = (uint)sync[HETCOMP_CPU_BASE] + (uint)wait;
  int rounds = sync[HETCOMP_POLL_ROUNDS];
  for (int round = 0; round < rounds; ++round) {
    for (int poll = 0; poll < HETCOMP_POLLS_PER_ROUND; ++poll) {
      if ((int)((uint)HETCOMP_LOAD(sync + HETCOMP_CPU_EPOCH) - target) >= 0) return 1;
    }
    if (HETCOMP_LOAD(sync + HETCOMP_ABORT) != 0) return 0;
  }
  HETCOMP_STORE(sync + HETCOMP_ABORT, HETCOMP_ABORT_BY_KERNEL);
  return 0;
}

// One item of each group, after all its items have stored: the group's barrier makes their stores
// its own, and the release below passes them on.
// The last work-group of the launch publishes epoch `signal`; 0 = nobody waits for this step.
inline __attribute__((always_inline)) void hetcomp_leave(__global int* sync, int signal) {
  if (signal == 0) return;
  int groups = (int)(get_num_groups(0) * get_num_groups(1));
  if (groups > 1 && HETCOMP_INCREMENT(sync + HETCOMP_GROUPS_DONE) != groups - 1) return;
  sync[HETCOMP_GROUPS_DONE] = 0;
  HETCOMP_STORE(sync + HETCOMP_GPU_EPOCH, (int)((uint)sync[HETCOMP_GPU_BASE] + (uint)signal));
}

// Tensors lie somewhere in a buffer, of which kernels get the beginning: adds the offset of pointer
// number `i`.
#ifdef HETCOMP_BUFFERS
#define HETCOMP_SHIFT(b, i) \
  (b) = (__global void*)((__global char*)(b) + (size_t)(uint)sync[HETCOMP_SHIFTS + (i)])
#else
#define HETCOMP_SHIFT(b, i) ((void)0)
#endif

// First tile of the work-group `ahead` groups after this one; each group has a run of tiles.
inline __attribute__((always_inline)) int hetcomp_share(int tiles, int ahead) {
  long group = (long)get_group_id(0) + ahead;
  return (int)(tiles * group / (long)get_num_groups(0));
}

// The ranges of a launch's turn `turn`, or 0: that was all. ticket: 0 = the whole at once; else the
// rows (negative: channels) that both processors take at a time, this one from the end.
// tickets: how many both have taken, and how many of them here; leave: of the last ones, to the CPU;
// see tickets.h.
inline __attribute__((always_inline)) int hetcomp_next(__global int* tickets, int ticket, int leave,
                                                       int turn, int4 all, int* r0, int* r1,
                                                       int* c0, int* c1) {
  *r0 = all.s0, *r1 = all.s1, *c0 = all.s2, *c1 = all.s3;
  if (ticket == 0) return turn == 0;
  int length = ticket > 0 ? all.s1 - all.s0 : all.s3 - all.s2, width = abs(ticket);
  int count = max(length / width, 1);
  if (leave > 0 && HETCOMP_LOAD(tickets) >= count - leave) return 0;
  if (HETCOMP_INCREMENT(tickets) >= count) return 0;
  int number = count - 1 - HETCOMP_INCREMENT(tickets + 1);
  int begin = number * width, end = number == count - 1 ? length : begin + width;
  if (ticket > 0) {
    *r0 = all.s0 + begin, *r1 = all.s0 + end;
  } else {
    *c0 = all.s2 + begin, *c1 = all.s2 + end;
  }
  return 1;
}

// Start-up probe: says that it runs (epoch 1), waits, answers with data, says that it is done.
__kernel void hetcomp_probe(__global int* sync, __global int* data, int wait, int signal) {
  __local int go;
  if (HETCOMP_FIRST_ITEM) {
    if (wait > 0) {
      HETCOMP_STORE(sync + HETCOMP_GPU_EPOCH, (int)((uint)sync[HETCOMP_GPU_BASE] + 1u));
    }
    go = hetcomp_enter(sync, wait);
  }
  HETCOMP_GROUP_SYNC();
  for (int turn = go; turn > 0; --turn) {
    data[1 + get_global_id(0)] = data[0] + (int)get_global_id(0);
    HETCOMP_GROUP_SYNC();
  }
  if (go && HETCOMP_FIRST_ITEM) hetcomp_leave(sync, signal);
}

// Waits until the host opens gate `number`, or for `rounds` rounds of polls: then the gate becomes
// void. Whether it was opened. See gpu_channel.h.
inline __attribute__((always_inline)) int hetcomp_pass(__global int* sync, int number,
                                                       int rounds) {
  int closed = (int)(4u * (uint)number), seen = closed;
  for (int round = 0; round < rounds && seen == closed; ++round) {
    for (int poll = 0; poll < HETCOMP_POLLS_PER_ROUND && seen == closed; ++poll) {
      seen = HETCOMP_LOAD(sync + HETCOMP_GATE);
    }
    if (HETCOMP_LOAD(sync + HETCOMP_ABORT) != 0) break;
  }
  if (seen == closed) seen = hetcomp_replace(sync + HETCOMP_GATE, closed, closed + 1);
  int opened = seen == closed + 2;
  sync[HETCOMP_RUN] = opened;
  HETCOMP_STORE(sync + HETCOMP_GATE_PASSED, number);
  return opened;
}

// The first launch of an inference: holds the queue. The launches up to the next gate do nothing
// where this one is not opened.
__kernel void hetcomp_gate(__global int* sync, int number, int rounds) {
  hetcomp_pass(sync, number, rounds);
}

// Whether the kernel that has the list of all steps walks it, for the `turn`-th time from 0.
// rounds: 0 = once, behind the kernel of a gate; else it stays and waits at one gate after the other
// itself, from number `gate` on, until one becomes void; see mailbox_lane.h. The host does not touch
// the gate's word until it has seen the last step of the walk.
inline __attribute__((always_inline)) int hetcomp_walk(__global int* sync, int wait, int gate,
                                                       int rounds, uint turn) {
  if (rounds == 0) return turn == 0 && hetcomp_enter(sync, wait);
  uint number = (uint)gate + turn;
  if (wait < 0 || !hetcomp_pass(sync, (int)number, rounds)) return 0;
  HETCOMP_STORE(sync + HETCOMP_GATE, (int)(4u * (number + 1u)));
  return 1;
}

// Publishes `signal` whatever the abort flag says: all earlier kernels have ended.
__kernel void hetcomp_drain(__global int* sync, int signal) {
  HETCOMP_STORE(sync + HETCOMP_GPU_EPOCH, (int)((uint)sync[HETCOMP_GPU_BASE] + (uint)signal));
}

// Test hook: a device that hangs, until the host gives up or twice the poll limit has passed.
__kernel void hetcomp_wedge(__global int* sync) {
  int rounds = sync[HETCOMP_POLL_ROUNDS];
  for (int round = 0; round < rounds; ++round) {
    for (int poll = 0; poll < 2 * HETCOMP_POLLS_PER_ROUND; ++poll) {
      if (HETCOMP_LOAD(sync + HETCOMP_ABORT) != 0) return;
    }
  }
  HETCOMP_STORE(sync + HETCOMP_ABORT, HETCOMP_ABORT_BY_KERNEL);
}
)";

}  // namespace hetcomp
