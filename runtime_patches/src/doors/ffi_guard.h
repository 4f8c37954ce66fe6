// The runtime's errors as tvm_ffi's, for the door of module.cc.
#ifndef HETCOMP_FFI_GUARD_H_
#define HETCOMP_FFI_GUARD_H_

#include <tvm/ffi/error.h>

#include <new>

#include "base/error.h"

namespace hetcomp {

// Python maps these kinds to the exceptions of hetcomp/errors.py.
inline const char* KindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInput:
      return "hetcomp.InputError";
    case ErrorKind::kDevice:
      return "hetcomp.DeviceError";
    case ErrorKind::kCancelled:
      return "hetcomp.CancelledError";
    case ErrorKind::kInternal:
      break;
  }
  return "hetcomp.InternalError";
}

// Runs `body`, turning the runtime's errors into tvm_ffi's.
template <typename Body>
auto Guard(Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const Error& error) {
    throw tvm::ffi::Error(KindName(error.kind()), error.what(), "");
  } catch (const std::bad_alloc&) {
    throw tvm::ffi::Error(KindName(ErrorKind::kInternal), "out of memory", "");
  }
}

}  // namespace hetcomp

#endif  // HETCOMP_FFI_GUARD_H_
