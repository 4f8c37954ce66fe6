// Which CPU cores threads may run on. Linux; elsewhere nothing is pinned.
#ifndef HETCOMP_PINNING_H_
#define HETCOMP_PINNING_H_

#include <sched.h>

#include <vector>

namespace hetcomp {

// CPUs that the calling thread may use, ascending.
std::vector<int> AllowedCpus();

// Lets the calling thread run on one core only; false if that is not allowed.
bool PinThisThread(int core);

// Pins the calling thread for the life of the object, then restores its mask. A negative core
// does nothing. Must be destroyed by the thread that made it.
class ScopedPin {
 public:
  explicit ScopedPin(int core);
  // Confines it to several cores; none does nothing.
  explicit ScopedPin(const std::vector<int>& cores);
  ~ScopedPin();
  ScopedPin(const ScopedPin&) = delete;
  ScopedPin& operator=(const ScopedPin&) = delete;
  // Restores the mask before the end of the scope.
  void Release();
  bool active() const { return active_; }

 private:
  void Confine(const cpu_set_t& mask);

  cpu_set_t saved_;
  bool active_ = false;
};

// Thread ids of this process.
std::vector<int> ThreadIds();

// Number of other threads that may run on `core` only: an OpenCL worker that was pinned there.
int OtherThreadsPinnedTo(int core);

// Gives every thread that is not in `before` the calling thread's mask: undoes the mask that a
// driver's threads have inherited.
void CopyMaskToThreadsSince(const std::vector<int>& before);

}  // namespace hetcomp

#endif  // HETCOMP_PINNING_H_
