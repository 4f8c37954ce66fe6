#include "doors/request_module.h"

#include <tvm/ffi/cast.h>
#include <tvm/ffi/function.h>

#include <utility>

#include "doors/ffi_guard.h"

namespace hetcomp {
namespace {

namespace ffi = tvm::ffi;

// Every name that Python may ask for, once. hetcomp/runtime/_ffi_api.py has the same list.
constexpr const char* kWait = "wait";
constexpr const char* kCancel = "cancel";

constexpr double kNoLimit = -1.0;

class RequestModule final : public ffi::ModuleObj {
 public:
  RequestModule(std::shared_ptr<Request> request, std::vector<ffi::Any> tensors)
      : request_(std::move(request)), tensors_(std::move(tensors)) {}

  ~RequestModule() {
    if (!request_->Cancel()) request_->Wait(kNoLimit);
  }

  const char* kind() const final { return "hetcomp_request"; }
  int GetPropertyMask() const final { return ffi::Module::kRunnable; }

  ffi::Optional<ffi::Function> GetFunction(const ffi::String& name) final {
    RequestModule* const self = this;
    const ffi::Module keep = ffi::GetRef<ffi::Module>(this);
    if (name == kWait) {
      return ffi::Function::FromTyped([self, keep](double timeout_ms) -> bool {
        return Guard([&] {
          const bool ended = self->request_->Wait(timeout_ms);
          if (ended) self->request_->ThrowIfFailed();
          return ended;
        });
      });
    }
    if (name == kCancel) {
      return ffi::Function::FromTyped([self, keep]() -> bool { return self->request_->Cancel(); });
    }
    return std::nullopt;
  }

 private:
  const std::shared_ptr<Request> request_;
  const std::vector<ffi::Any> tensors_;
};

}  // namespace

ffi::Module MakeRequestModule(std::shared_ptr<Request> request, std::vector<ffi::Any> tensors) {
  return ffi::Module(ffi::make_object<RequestModule>(std::move(request), std::move(tensors)));
}

}  // namespace hetcomp
