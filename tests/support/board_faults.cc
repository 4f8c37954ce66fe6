// What fails or hangs on a board, where a test says so: preloaded into hetcomp_rpc, or as its
// OpenCL library.
#include <dlfcn.h>
#include <netdb.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "opencl/opencl_api.h"

using namespace hetcomp;

namespace {

template <typename Function>
Function Next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

void CallDriver() {
  const char* how = getenv("DRIVER");
  if (how == nullptr) return;
  if (std::strcmp(how, "throws") == 0) throw std::invalid_argument("of the driver");
  if (std::strcmp(how, "throws a number") == 0) throw 1;
  if (std::strcmp(how, "leaves a process") == 0 && Next<pid_t (*)()>("fork")() == 0) {
    sleep(60);
    _exit(0);
  }
}

}  // namespace

// There are no processes while the file $NO_FORK exists.
extern "C" pid_t fork() noexcept {
  const char* file = getenv("NO_FORK");
  if (file != nullptr && access(file, F_OK) == 0) {
    errno = EAGAIN;
    return -1;
  }
  return Next<pid_t (*)()>("fork")();
}

// Names are looked up for a minute.
extern "C" int getaddrinfo(const char* host, const char* port, const addrinfo* hints,
                           addrinfo** found) {
  if (getenv("SLOW_NAMES") != nullptr && (hints->ai_flags & AI_NUMERICHOST) == 0) sleep(60);
  return Next<decltype(&getaddrinfo)>("getaddrinfo")(host, port, hints, found);
}

// An OpenCL without platforms.
#define HETCOMP_DEFINE(result, name, parameters) \
  extern "C" result name parameters {            \
    CallDriver();                                \
    return static_cast<result>(0);               \
  }
HETCOMP_OPENCL_1_FUNCTIONS(HETCOMP_DEFINE)
