#include "amx_interposed.h"

#include <dlfcn.h>
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

namespace hetcomp {
namespace {

using SetAction = int (*)(int, const struct sigaction*, struct sigaction*);

std::atomic<bool> permitted{false};

// The program's own handlers of the signals that are the emulator's.
struct sigaction theirs[NSIG];

bool IsOurs(int number) { return number == SIGILL || number == SIGSEGV || number == SIGTRAP; }

// The C library's. Set before the emulator's handlers are.
SetAction Real() {
  static const auto real = reinterpret_cast<SetAction>(dlsym(RTLD_NEXT, "sigaction"));
  if (real == nullptr) std::abort();
  return real;
}

long Forward(long number, const long* arguments) {
  register long r10 __asm__("r10") = arguments[3];
  register long r8 __asm__("r8") = arguments[4];
  register long r9 __asm__("r9") = arguments[5];
  long result = number;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]), "r"(r10), "r"(r8),
                     "r"(r9)
                   : "rcx", "r11", "memory");
  if (result >= 0 || result < -4095) return result;
  errno = static_cast<int>(-result);
  return -1;
}

constexpr long kSupported = 0x1021, kRequest = 0x1023;  // ARCH_GET_XCOMP_SUPP, ARCH_REQ_XCOMP_PERM
constexpr long kTileData = 18;

// Whether the question is of tiles; `*result` is the kernel's answer.
bool AnswersPermission(const long* arguments, long* result) {
  const AmxMachine& machine = EmulatedMachine();
  if (!machine.states) return false;
  if (arguments[0] == kSupported) {
    const uint64_t states = EmulatedXcr0(machine);
    std::memcpy(reinterpret_cast<void*>(arguments[1]), &states, sizeof states);
    *result = 0;
    return true;
  }
  if (arguments[0] != kRequest || arguments[1] != kTileData) return false;
  if (machine.permission) permitted.store(true);
  errno = machine.permission ? errno : EPERM;
  *result = machine.permission ? 0 : -1;
  return true;
}

}  // namespace

const AmxMachine& EmulatedMachine() {
  static const AmxMachine machine = ReadAmxMachine();
  return machine;
}

bool TilesArePermitted() { return permitted.load(std::memory_order_relaxed); }

void Handle(int number, SignalHandler handler) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  Real()(number, &action, nullptr);
}

void HandleNoMore(int number) {
  struct sigaction fatal {};
  fatal.sa_handler = SIG_DFL;
  Real()(number, &fatal, nullptr);
}

void HandOn(int number, siginfo_t* info, void* context) {
  const struct sigaction& handler = theirs[number];
  if (handler.sa_handler == SIG_DFL || handler.sa_handler == SIG_IGN) {
    HandleNoMore(number);  // the instruction is run again, and ends the process
  } else if ((handler.sa_flags & SA_SIGINFO) != 0) {
    handler.sa_sigaction(number, info, context);
  } else {
    handler.sa_handler(number);
  }
}

}  // namespace hetcomp

extern "C" long syscall(long number, ...) noexcept {
  long arguments[6];
  va_list list;
  va_start(list, number);
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  long result;
  if (number == SYS_arch_prctl && hetcomp::AnswersPermission(arguments, &result)) return result;
  return hetcomp::Forward(number, arguments);
}

extern "C" int sigaction(int number, const struct sigaction* action,
                         struct sigaction* before) noexcept {
  if (!hetcomp::IsOurs(number)) return hetcomp::Real()(number, action, before);
  if (before != nullptr) *before = hetcomp::theirs[number];
  if (action != nullptr) hetcomp::theirs[number] = *action;
  return 0;
}

extern "C" sighandler_t signal(int number, sighandler_t handler) noexcept {
  struct sigaction action {
  }, before{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  return sigaction(number, &action, &before) == 0 ? before.sa_handler : SIG_ERR;
}
