// The one exception type of the runtime. The doors (module.cc, c_api.cc) turn it into theirs.
#ifndef HETCOMP_ERROR_H_
#define HETCOMP_ERROR_H_

#include <stdexcept>
#include <string>

namespace hetcomp {

enum class ErrorKind {
  kInput,      // the caller's fault: options, tensors, a step table that does not fit
  kDevice,     // OpenCL failed
  kInternal,   // ours
  kCancelled,  // a request that was given up before it ran
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// The device did not answer in time.
class TimeoutError : public Error {
 public:
  explicit TimeoutError(const std::string& message) : Error(ErrorKind::kDevice, message) {}
};

[[noreturn]] inline void ThrowInput(const std::string& message) {
  throw Error(ErrorKind::kInput, message);
}

[[noreturn]] inline void ThrowInternal(const std::string& message) {
  throw Error(ErrorKind::kInternal, message);
}

}  // namespace hetcomp

#endif  // HETCOMP_ERROR_H_
