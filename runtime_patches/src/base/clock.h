// The runtime's clock and the pause of a spinning loop.
#ifndef HETCOMP_CLOCK_H_
#define HETCOMP_CLOCK_H_

#include <chrono>

namespace hetcomp {

inline double NowUs() {
  using std::chrono::steady_clock;
  return std::chrono::duration<double, std::micro>(steady_clock::now().time_since_epoch()).count();
}

// Tells the core that this is a spin loop.
inline void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  asm volatile("yield");
#endif
}

}  // namespace hetcomp

#endif  // HETCOMP_CLOCK_H_
