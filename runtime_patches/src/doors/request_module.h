// A request as tvm_ffi's callers hold it.
#ifndef HETCOMP_REQUEST_MODULE_H_
#define HETCOMP_REQUEST_MODULE_H_

#include <tvm/ffi/any.h>
#include <tvm/ffi/extra/module.h>

#include <memory>
#include <vector>

#include "doors/request_queue.h"

namespace hetcomp {

// A module with `wait(timeout_ms)` (whether the request has ended; throws what it has thrown) and
// `cancel()` (whether it was in time). It keeps `tensors` alive. When it goes, the request is
// cancelled, or waited for if it has begun.
tvm::ffi::Module MakeRequestModule(std::shared_ptr<Request> request,
                                   std::vector<tvm::ffi::Any> tensors);

}  // namespace hetcomp

#endif  // HETCOMP_REQUEST_MODULE_H_
