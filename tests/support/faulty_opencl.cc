// An OpenCL library that forwards to the real one, counts the calls and objects, and fails where it
// is told to. Every function that the runtime binds is here, by the list in opencl_api.h. Compiled
// with OLD_OPENCL it is a driver of OpenCL 1.2.
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "opencl/opencl_api.h"

namespace {

using hetcomp::cl_int;

enum Mode : int {
  kForward = 0,
  kFail = 1,     // the call is not made, and gives an error code
  kDelay = 2,    // the call is made late
  kOddCode = 3,  // the call is made, and gives a code that OpenCL does not know
  kSkip = 4,     // the call is not made, and says that it was
  kNoise = 5,    // likewise, and what it should have written is noise
};

// Set before the run by one thread; read by all.
struct Orders {
  Mode mode = kForward;
  int64_t first = 0;  // the calls [first, last] are struck, counted from 1
  int64_t last = 0;
  cl_int code = 0;
  int delay_us = 0;
};

constexpr cl_int kUnknownCode = 4242;
constexpr size_t kMaxNoise = 64;

Orders orders;
std::atomic<int64_t> calls{0};
std::atomic<int64_t> kernels{0};  // objects alive
std::atomic<int64_t> programs{0};
std::atomic<int64_t> memories{0};
std::atomic<const char*> struck{""};

void* Real(const char* name) {
  static void* const library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
  return library == nullptr ? nullptr : dlsym(library, name);
}

bool Begins(std::string_view name, std::string_view with) {
  return name.substr(0, with.size()) == with;
}

// Number of this call. Polls of an event count once, as how many there are is a matter of time; the
// later ones are struck only if all calls are.
int64_t Count(const char* name) {
  static std::atomic<const char*> latest{""};
  const bool again = latest.exchange(name) == name && std::string_view(name) == "clGetEventInfo";
  if (!again) return ++calls;
  return orders.last > orders.first ? calls.load() : 0;
}

void CountObject(std::string_view name, bool made) {
  if (name == "clCreateKernel") kernels += made;
  if (name == "clReleaseKernel") --kernels;
  if (Begins(name, "clCreateProgram")) programs += made;
  if (name == "clReleaseProgram") --programs;
  if (name == "clSVMAlloc" || name == "clCreateBuffer") memories += made;
  if (name == "clSVMFree" || name == "clReleaseMemObject") --memories;
}

template <typename Last>
void SetStatus(Last last, cl_int code) {
  if constexpr (std::is_same_v<Last, cl_int*>) {
    if (last != nullptr) *last = code;
  }
}

// What a function that makes objects reports through its last argument, others by their result.
template <typename Result, typename... Arguments>
Result Answer(cl_int code, Arguments... arguments) {
  SetStatus(std::get<sizeof...(Arguments) - 1>(std::tuple(arguments...)), code);
  if constexpr (std::is_same_v<Result, cl_int>) return code;
  if constexpr (std::is_pointer_v<Result>) return nullptr;
}

// The results of queries, as far as their caller has given them room.
void WriteNoise(size_t size, void* value, size_t* size_out) {
  if (value != nullptr) std::memset(value, 0xA5, size < kMaxNoise ? size : kMaxNoise);
  if (size_out != nullptr) std::memset(size_out, 0xA5, sizeof(*size_out));
}

template <typename... Arguments>
void AddNoise(Arguments... arguments) {
  const auto all = std::tuple(arguments...);
  constexpr size_t n = sizeof...(Arguments);
  if constexpr (n >= 3) {
    auto* last = std::get<n - 1>(all);
    if constexpr (std::is_same_v<decltype(last), size_t*>) {
      WriteNoise(std::get<n - 3>(all), std::get<n - 2>(all), last);
    } else if constexpr (std::is_same_v<decltype(last), hetcomp::cl_uint*>) {
      if (last != nullptr) *last = 0xA5A5A5A5u;  // a count of platforms or devices
    }
  }
}

#ifdef OLD_OPENCL
constexpr bool kOld = true;
#else
constexpr bool kOld = false;
#endif

// What a driver of OpenCL 1.2 answers to clGetDeviceInfo, null where an old and a new one agree.
[[maybe_unused]] const char* OldAnswer(hetcomp::cl_uint what) {
  if (what == hetcomp::CL_DEVICE_VERSION) return "OpenCL 1.2 old";
  return what == hetcomp::CL_DEVICE_SVM_CAPABILITIES ? "" : nullptr;
}

[[maybe_unused]] cl_int TellAge(const char* answer, size_t size, void* value, size_t* size_out) {
  constexpr cl_int kInvalidValue = -30;
  const size_t length = std::strlen(answer) + 1;
  if (length == 1 || (value != nullptr && size < length)) return kInvalidValue;
  if (value != nullptr) std::memcpy(value, answer, length);
  if (size_out != nullptr) *size_out = length;
  return hetcomp::CL_SUCCESS;
}

template <typename Signature>
struct Shim;

template <typename Result, typename... Arguments>
struct Shim<Result(Arguments...)> {
  template <const char* const& name>
  static Result Call(Arguments... arguments) {
    if constexpr (kOld && std::string_view(name) == "clGetDeviceInfo") {
      const auto all = std::tuple(arguments...);
      const char* answer = OldAnswer(std::get<1>(all));
      if (answer != nullptr)
        return TellAge(answer, std::get<2>(all), std::get<3>(all), std::get<4>(all));
    }
    const int64_t number = Count(name);
    const bool strikes = orders.first <= number && number <= orders.last;
    const Mode mode = strikes ? orders.mode : kForward;
    if (mode != kForward) struck = name;
    if (mode == kDelay) usleep(static_cast<useconds_t>(orders.delay_us));
    if constexpr (std::is_void_v<Result>) {  // clSVMFree: it cannot fail
      Forward<name>(arguments...);
    } else {
      if (mode == kFail) return Answer<Result>(orders.code, arguments...);
      if (mode == kNoise) {
        if constexpr (sizeof...(Arguments) >= 3) AddLast(arguments...);
      }
      if (mode == kNoise || mode == kSkip) return Answer<Result>(0, arguments...);
      const Result result = Forward<name>(arguments...);
      if (mode != kOddCode) return result;
      SetStatus(std::get<sizeof...(Arguments) - 1>(std::tuple(arguments...)), kUnknownCode);
      if constexpr (std::is_same_v<Result, cl_int>) return kUnknownCode;
      return result;
    }
  }

 private:
  template <const char* const& name>
  static Result Forward(Arguments... arguments) {
    static auto* const real = reinterpret_cast<Result (*)(Arguments...)>(Real(name));
    if constexpr (std::is_void_v<Result>) {
      CountObject(name, false);
      real(arguments...);
    } else {
      const Result result = real(arguments...);
      CountObject(name, result != Result{});
      return result;
    }
  }

  static void AddLast(Arguments... arguments) {
    using Last = std::tuple_element_t<sizeof...(Arguments) - 1, std::tuple<Arguments...>>;
    if constexpr (std::is_pointer_v<Last>) AddNoise(arguments...);
  }
};

}  // namespace

// A resolver names the instance of Shim that is the function.
#define FORWARD(result, name, parameters)                                                 \
  static constexpr const char* name_of_##name = #name;                                    \
  extern "C" {                                                                            \
  static result(*resolve_##name()) parameters {                                           \
    return &Shim<result parameters>::template Call<name_of_##name>;                       \
  }                                                                                       \
  __attribute__((visibility("default"), ifunc("resolve_" #name))) result name parameters; \
  }

using namespace hetcomp;
#ifdef OLD_OPENCL
HETCOMP_OPENCL_1_FUNCTIONS(FORWARD)
#else
HETCOMP_OPENCL_FUNCTIONS(FORWARD)
#endif

extern "C" {

__attribute__((visibility("default"))) void faulty_orders(int mode, int64_t first, int64_t last,
                                                          int code, int delay_us) {
  orders = {static_cast<Mode>(mode), first, last, code, delay_us};
  calls = 0;
}

__attribute__((visibility("default"))) int64_t faulty_calls() { return calls; }
// Name of the function that was struck last.
__attribute__((visibility("default"))) const char* faulty_struck() { return struck; }
__attribute__((visibility("default"))) int64_t faulty_kernels() { return kernels; }
__attribute__((visibility("default"))) int64_t faulty_programs() { return programs; }
__attribute__((visibility("default"))) int64_t faulty_memories() { return memories; }
}
