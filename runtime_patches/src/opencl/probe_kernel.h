// The kernel `hetcomp_probe` of prologue.cc with its shared memory: says that it runs, waits for
// the CPU, answers, and says that it is done.
#ifndef HETCOMP_PROBE_KERNEL_H_
#define HETCOMP_PROBE_KERNEL_H_

#include <cstddef>
#include <cstdint>

#include "lanes/sync.h"
#include "opencl/opencl_build.h"

namespace hetcomp {

// Everything throws Error(kDevice); the queue must be idle before and is idle after each method.
// The calling thread spins, so it must not share its core with the device's worker.
class ProbeKernel {
 public:
  // Runs the kernel once without its body: compilation must not count as waiting.
  ProbeKernel(const ClHandles& cl, cl_program program);
  ProbeKernel(const ProbeKernel&) = delete;
  ProbeKernel& operator=(const ProbeKernel&) = delete;

  // Time of one round of polls.
  double RoundUs();
  // Whether kernel and CPU see each other's flags and data. `number` makes the data differ.
  bool HandShake(int number, double round_us);
  // Whether the CPU sees the flag that a kernel raises at its end, and what it has written.
  bool Hear(int number);

  // How the CPU learns that a kernel has ended.
  enum class Ending { kFlag, kPoll, kSleep, kFinish };
  // A kernel waits in vain for `rounds` rounds: from its flag that it runs to where the CPU knows
  // that it has ended.
  double WaitInVainUs(int rounds, Ending ending);

  struct HandShakeTimes {
    double enqueue_us = 0.0;       // the CPU's, with the device idle
    double enqueue_busy_us = 0.0;  // with a kernel running
    double launch_us = 0.0;        // from the enqueue's end to the kernel's first flag
    double round_trip_us = 0.0;    // from the CPU's flag to the kernel's answer
  };
  HandShakeTimes TimeHandShake(double round_us);

 private:
  static constexpr size_t kGroups = 3;
  static constexpr size_t kItems = 8;  // of a group, whose stores one of them publishes

  // What kernels read and write. Where one may be running still, it is leaked.
  struct Shared {
    explicit Shared(const ClHandles& handles);
    ~Shared();
    void Finish();
    void Leak();

    struct Answer {
      int32_t data[1 + kGroups * kItems];
    };
    const ClHandles cl;
    SvmOwner<SyncBlock> sync;
    SvmOwner<Answer> answer;
    bool running = false;  // a kernel was enqueued and not waited for
  };

  void Prepare(int rounds);
  void Enqueue(size_t groups, cl_event* event);
  bool Converse(int32_t payload);
  bool HasAnswered(int32_t payload);
  void AwaitEnd(Ending ending, cl_event event);
  void Expect(bool ok, const char* what);

  const ClHandles cl_;
  const KernelOwner kernel_;
  Shared shared_;
  SyncBlock* const sync_;
  volatile int32_t* const data_;
  uint32_t base_ = 0;
};

// Waits until the queue is empty, which it soon is. Throws TimeoutError if not.
void FinishProbe(const ClHandles& cl);

}  // namespace hetcomp

#endif  // HETCOMP_PROBE_KERNEL_H_
