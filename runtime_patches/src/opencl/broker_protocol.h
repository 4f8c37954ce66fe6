// What the models of one process share. Every model.so has its own copy of this runtime, of any
// version and from any compiler, so what they share is plain C: structures whose layout never
// changes, and functions of the copy that has made them. Libraries are never unloaded.
//
// A change of anything here is a new protocol. Copies with different protocols do not know of each
// other: each kind shares among its own.
#ifndef HETCOMP_BROKER_PROTOCOL_H_
#define HETCOMP_BROKER_PROTOCOL_H_

#include <tvm/ffi/c_api.h>

#include <cstddef>
#include <cstdint>

#ifndef HETCOMP_BROKER_PROTOCOL  // set by tests alone
#define HETCOMP_BROKER_PROTOCOL 1
#endif

extern "C" {

// One OpenCL queue. Everything but `turn` and `bad` is guarded by the turn.
struct HetcompSharedQueue {
  void* turn;     // opaque, for take_turn and give_turn
  void* device;   // cl_device_id, cl_context, cl_command_queue; null until somebody has made them
  void* context;  // for good
  void* queue;
  void* user;                    // whose launches were the last to enter the queue
  void (*give_way)(void* user);  // frees the queue from what the user has enqueued ahead
  int32_t bad;  // atomic: it hung or failed; nobody uses it until it is found in order
};

// One kernel call: function(nullptr, arguments, n_arguments, &result).
struct HetcompCall {
  TVMFFISafeCallType function;
  const TVMFFIAny* arguments;
  int32_t n_arguments;
  size_t first_argument;  // the caller's own
};

struct HetcompBroker {
  uint32_t protocol;
  uint32_t size_bytes;

  // The queue of that name, which lives as long as the process. Same name, same queue;
  // null where there is no memory.
  struct HetcompSharedQueue* (*find_queue)(const char* name);
  void (*take_turn)(void* turn, int32_t priority);
  void (*give_turn)(void* turn);

  // A pool of so many threads, the caller's included; worker i is pinned to cores[i + 1] if there
  // is one. Equal demands share a pool until each has dropped it.
  void* (*find_pool)(int32_t threads, const int32_t* cores, int32_t n_cores);
  void (*drop_pool)(void* pool);
  // Between these two the pool is the caller's.
  void (*begin_pool)(void* pool, int32_t priority);
  void (*end_pool)(void* pool);
  // 0 = all of calls[0 .. n), n <= threads, have succeeded.
  int32_t (*run_pool)(void* pool, const struct HetcompCall* calls, int32_t n);
  // Copies the text of the failure that run_pool has reported.
  void (*take_pool_error)(void* pool, char* text, size_t size);
};

}  // extern "C"

#endif  // HETCOMP_BROKER_PROTOCOL_H_
