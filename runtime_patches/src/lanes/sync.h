// The epochs through which CPU and GPU wait for each other, in fine-grained SVM.
//
// Epochs only grow (modulo 2^32) and are never reset: in one inference the k-th step of a
// processor is finished when its epoch has reached base + k. Every word that the two processors
// hand to and fro has its own 128-byte line. prologue.cc names the same words by integer index.
#ifndef HETCOMP_SYNC_H_
#define HETCOMP_SYNC_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hetcomp {

struct SyncBlock {
  struct alignas(128) Line {
    std::atomic<int32_t> value;
  };
  struct alignas(128) Control {
    std::atomic<int32_t> cpu_base;  // these two are written while the GPU is at a gate
    std::atomic<int32_t> gpu_base;
    std::atomic<int32_t> abort;  // written by anyone
    std::atomic<int32_t> poll_rounds;
    std::atomic<int32_t> run;  // written by the gate's kernel: whether what follows may run
  };

  Line cpu_epoch;
  Line gpu_epoch;
  Line groups_done;  // work-groups of the current launch that have finished
  Control control;
  Line gate;         // state of the latest gate, see gpu_channel.h
  Line gate_passed;  // number of the latest gate at which no kernel waits any more
};

// Where buffers are used, each launch has a block of its own, followed by the offset of each of its
// pointers as an unsigned integer.
static_assert(sizeof(SyncBlock) == 192 * 4, "HETCOMP_SHIFTS of prologue.cc");
static_assert(std::atomic<int32_t>::is_always_lock_free, "shared with OpenCL's atomic_int");
static_assert(offsetof(SyncBlock, gpu_epoch) == 32 * 4 && offsetof(SyncBlock, control) == 96 * 4 &&
                  offsetof(SyncBlock, gate) == 128 * 4,
              "prologue.cc counts integers");

// What SyncBlock::gate is, modulo 4; the rest is the gate's number. Host and kernel each try to
// replace kGateClosed, and only one of them succeeds.
enum GateState : uint32_t { kGateClosed = 0, kGateVoid = 1, kGateOpen = 2, kGateStates = 4 };

// Values of SyncBlock::Control::abort.
enum AbortReason : int32_t { kNoAbort = 0, kAbortByHost = 1, kAbortByKernel = 2 };

inline uint32_t Load(const std::atomic<int32_t>& word) {
  return static_cast<uint32_t>(word.load(std::memory_order_acquire));
}

inline void Store(std::atomic<int32_t>* word, uint32_t value) {
  word->store(static_cast<int32_t>(value), std::memory_order_release);
}

// Whether an epoch has reached a target, also across the wrap of 2^32.
inline bool Reached(uint32_t epoch, uint32_t target) {
  return static_cast<int32_t>(epoch - target) >= 0;
}

enum class WaitResult { kReached, kTimedOut, kAborted };

// A wait that polls something: paces the polls and ends those in vain.
class Spinner {
 public:
  // `abort` may be null.
  Spinner(double timeout_us, const std::atomic<int32_t>* abort)
      : timeout_us_(timeout_us), abort_(abort) {}

  // After a poll in vain: kReached = poll again.
  WaitResult Spin();

 private:
  const double timeout_us_;
  const std::atomic<int32_t>* const abort_;
  uint32_t polls_ = 0;
  double start_us_ = 0.0;
  bool late_ = false;
};

// Spins until `word` reaches `target`, another party aborts, or `timeout_us` has passed. `abort`
// may be null.
WaitResult SpinUntil(const std::atomic<int32_t>& word, uint32_t target, double timeout_us,
                     const std::atomic<int32_t>* abort);

}  // namespace hetcomp

#endif  // HETCOMP_SYNC_H_
