// The tvm_ffi door: __tvm_ffi_hetcomp_open, and the module it returns.
//
// Several model.so of any versions live in one process: the only thing that is registered globally
// carries its version in its name, see broker_protocol.h.
#include <tvm/ffi/cast.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "doors/ffi_guard.h"
#include "doors/ffi_tensors.h"
#include "doors/open_model.h"
#include "doors/request_module.h"

namespace hetcomp {
namespace {

namespace ffi = tvm::ffi;

// Every name that Python may ask for, once. hetcomp/runtime/_ffi_api.py has the same list.
constexpr const char* kDescribe = "describe";
constexpr const char* kStatus = "status";
constexpr const char* kStats = "stats";
constexpr const char* kTrace = "trace";
constexpr const char* kRun = "run";
constexpr const char* kProfile = "profile";
constexpr const char* kTimeTask = "time_task";
constexpr const char* kLatencies = "latencies";
constexpr const char* kCopies = "copies";
constexpr const char* kSetTable = "set_table";
constexpr const char* kUsePlan = "use_plan";
constexpr const char* kSubmit = "submit";
constexpr const char* kBuffer = "buffer";
constexpr const char* kClose = "close";

class HetcompModule final : public ffi::ModuleObj {
 public:
  explicit HetcompModule(const std::string& options) : model_(options), tensors_(model_.graph()) {}

  const char* kind() const final { return "hetcomp"; }
  int GetPropertyMask() const final { return ffi::Module::kRunnable; }

  ffi::Optional<ffi::Function> GetFunction(const ffi::String& name) final {
    const Self self{this, ffi::GetRef<ffi::Module>(this)};
    if (name == kRun) {
      return ffi::Function::FromPacked(
          [self](ffi::PackedArgs args, ffi::Any*) { Guard([&] { self->Run(args); }); });
    }
    if (name == kProfile) {
      return ffi::Function::FromPacked([self](ffi::PackedArgs args, ffi::Any* result) {
        *result = Guard([&] { return self->Profile(args); });
      });
    }
    if (name == kSubmit) {
      return ffi::Function::FromPacked([self](ffi::PackedArgs args, ffi::Any* result) {
        *result = Guard([&] { return self->Submit(args); });
      });
    }
    if (name == kBuffer) {
      return ffi::Function::FromTyped([self](ffi::String tensor) -> ffi::Tensor {
        return Guard([&] { return self->Buffer(tensor); });
      });
    }
    if (name == kClose) {
      return ffi::Function::FromTyped([self]() { Guard([&] { self->model_.Close(); }); });
    }
    auto asking = GetAsking(name, self);
    return asking.has_value() ? asking : GetSteering(name, self);
  }

 private:
  // The module, kept alive by the functions that it has handed out.
  struct Self {
    HetcompModule* operator->() const { return module; }
    HetcompModule* module;
    ffi::Module keep;
  };

  static ffi::Optional<ffi::Function> GetAsking(const ffi::String& name, const Self& self) {
    const std::pair<const char*, std::string (Session::*)()> texts[] = {
        {kDescribe, &Session::DescribeJson},
        {kStatus, &Session::StatusJson},
        {kStats, &Session::StatsJson},
        {kTrace, &Session::TraceJson}};
    for (const auto& [known, text] : texts) {
      if (name != known) continue;
      return ffi::Function::FromTyped([self, text = text]() -> ffi::String {
        return Guard([&] { return ffi::String(self->model_.Use(std::mem_fn(text))); });
      });
    }
    return std::nullopt;
  }

  static ffi::Optional<ffi::Function> GetSteering(const ffi::String& name, const Self& self) {
    if (name == kTimeTask) {
      return ffi::Function::FromTyped([self](int task, ffi::String processor, int r0, int r1,
                                             int c0, int c1, int warmup, int reps) -> ffi::String {
        return Guard([&] {
          if (processor != "cpu" && processor != "gpu") ThrowInput("processor: \"cpu\" or \"gpu\"");
          const Processor chosen = processor == "cpu" ? Processor::kCpu : Processor::kGpu;
          const Range range{r0, r1, c0, c1};
          return ffi::String(self->model_.Use([&](Session& session) {
            return session.TimeTaskJson(task, chosen, range, warmup, reps);
          }));
        });
      });
    }
    if (name == kLatencies) {
      return ffi::Function::FromTyped([self](int reps) -> ffi::String {
        return Guard([&] {
          return ffi::String(
              self->model_.Use([&](Session& session) { return session.LatenciesJson(reps); }));
        });
      });
    }
    if (name == kCopies) {
      return ffi::Function::FromTyped([self](int64_t bytes, int reps) -> ffi::String {
        return Guard([&] {
          return ffi::String(self->model_.Use([&](Session& session) {
            return session.CopiesJson(static_cast<size_t>(std::max<int64_t>(bytes, 0)), reps);
          }));
        });
      });
    }
    if (name == kSetTable) {
      return ffi::Function::FromTyped([self](ffi::String table) {
        Guard([&] {
          self->model_.Change([&](Session& session) {
            session.SetTable({table.data(), table.size()});
          });
        });
      });
    }
    if (name == kUsePlan) {
      return ffi::Function::FromTyped([self](ffi::String plan) {
        Guard([&] { self->model_.Change([&](Session& session) { session.UsePlan(plan); }); });
      });
    }
    return std::nullopt;
  }

  // run(inputs..., outputs...)
  void Run(ffi::PackedArgs args) {
    CheckCount(args, tensors_.size(), "run: inputs and outputs");
    constexpr size_t kInline = 64;  // no allocation for models with fewer tensors
    void* inline_pointers[kInline];
    std::vector<void*> heap_pointers;
    void** pointers = inline_pointers;
    if (tensors_.size() > kInline) {
      heap_pointers.resize(tensors_.size());
      pointers = heap_pointers.data();
    }
    tensors_.Collect(args, 0, tensors_.size(), pointers);
    model_.Run(pointers, pointers + tensors_.n_inputs());
  }

  // submit(inputs..., outputs...)
  ffi::Module Submit(ffi::PackedArgs args) {
    CheckCount(args, tensors_.size(), "submit: inputs and outputs");
    std::vector<void*> pointers(tensors_.size());
    tensors_.Collect(args, 0, tensors_.size(), pointers.data());
    std::vector<ffi::Any> kept;
    for (int i = 0; i < args.size(); ++i) kept.emplace_back(args[i]);
    const auto outputs = pointers.begin() + static_cast<std::ptrdiff_t>(tensors_.n_inputs());
    return MakeRequestModule(model_.Submit({pointers.begin(), outputs}, {outputs, pointers.end()}),
                             std::move(kept));
  }

  ffi::Tensor Buffer(const std::string& name) {
    return tensors_.Wrap(name,
                         model_.Change([&](Session& session) { return session.Buffer(name); }));
  }

  // profile(reps) or profile(reps, inputs...)
  ffi::String Profile(ffi::PackedArgs args) {
    const size_t n_inputs = tensors_.n_inputs();
    if (args.size() != 1) CheckCount(args, n_inputs + 1, "profile: reps and inputs");
    const int reps = args[0].cast<int>();
    std::vector<void*> pointers(n_inputs);
    if (args.size() != 1) tensors_.Collect(args, 1, n_inputs, pointers.data());
    void* const* inputs = args.size() == 1 ? nullptr : pointers.data();
    return model_.Use([&](Session& session) { return session.ProfileJson(reps, inputs); });
  }

  OpenModel model_;
  const TensorArguments tensors_;
};

ffi::Module Open(const ffi::String& options) {
  return Guard([&] { return ffi::Module(ffi::make_object<HetcompModule>(std::string(options))); });
}

}  // namespace
}  // namespace hetcomp

TVM_FFI_DLL_EXPORT_TYPED_FUNC(hetcomp_open, hetcomp::Open);
