// The tvm_ffi door: __tvm_ffi_hetcomp_open, and the module it returns.
//
// Nothing is registered globally, so that several model.so of any versions live in one process.
#include <tvm/ffi/cast.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "error.h"
#include "session.h"

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
constexpr const char* kSetTable = "set_table";
constexpr const char* kUsePlan = "use_plan";

// Python maps these kinds to the exceptions of hetcomp/errors.py.
const char* KindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInput:
      return "hetcomp.InputError";
    case ErrorKind::kDevice:
      return "hetcomp.DeviceError";
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
    throw ffi::Error(KindName(error.kind()), error.what(), "");
  }
}

std::string ShapeText(const int64_t* shape, size_t n) {
  std::string text = "(";
  for (size_t i = 0; i < n; ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

bool SameShape(const DLTensor& got, const Tensor& expected) {
  if (static_cast<size_t>(got.ndim) != expected.shape.size()) return false;
  for (size_t i = 0; i < expected.shape.size(); ++i) {
    if (got.shape[i] != expected.shape[i]) return false;
  }
  return true;
}

bool IsDense(const DLTensor& tensor) {
  if (tensor.strides == nullptr) return true;
  int64_t expected = 1;
  for (int32_t i = tensor.ndim - 1; i >= 0; --i) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// Address of the first element, after every check that memory safety needs.
void* CheckedData(const DLTensor& got, const Tensor& expected, DLDataType dtype) {
  const std::string what = "tensor \"" + expected.name + "\": ";
  if (!SameShape(got, expected)) {
    ThrowInput(what + "shape " + ShapeText(got.shape, static_cast<size_t>(got.ndim)) +
               ", expected " + ShapeText(expected.shape.data(), expected.shape.size()));
  }
  if (got.dtype.code != dtype.code || got.dtype.bits != dtype.bits ||
      got.dtype.lanes != dtype.lanes) {
    ThrowInput(what + "dtype " + std::string(ffi::DLDataTypeToString(got.dtype)) + ", expected " +
               expected.dtype);
  }
  if (got.device.device_type != kDLCPU) ThrowInput(what + "not in host memory");
  if (!IsDense(got)) ThrowInput(what + "not contiguous");
  return static_cast<char*>(got.data) + got.byte_offset;
}

class HetcompModule final : public ffi::ModuleObj {
 public:
  explicit HetcompModule(const std::string& options) : session_(options) {
    const Graph& graph = session_.graph();
    for (const std::vector<int>* list : {&graph.inputs, &graph.outputs}) {
      for (int index : *list) {
        const Tensor& tensor = graph.tensors[static_cast<size_t>(index)];
        tensors_.push_back({&tensor, ffi::StringToDLDataType(ffi::String(tensor.dtype))});
      }
    }
    n_inputs_ = graph.inputs.size();
  }

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
    if (name == kDescribe) {
      return ffi::Function::FromTyped([self]() -> ffi::String {
        const std::string_view json = self->session_.Describe();
        return ffi::String(json.data(), json.size());
      });
    }
    if (name == kStatus) {
      return ffi::Function::FromTyped([self]() -> ffi::String {
        return Guard([&] { return ffi::String(self->session_.StatusJson()); });
      });
    }
    if (name == kStats || name == kTrace) {
      const bool stats = name == kStats;
      return ffi::Function::FromTyped([self, stats]() -> ffi::String {
        return Guard([&] {
          return ffi::String(stats ? self->session_.StatsJson() : self->session_.TraceJson());
        });
      });
    }
    return GetSteering(name, self);
  }

 private:
  // The module, kept alive by the functions that it has handed out.
  struct Self {
    HetcompModule* operator->() const { return module; }
    HetcompModule* module;
    ffi::Module keep;
  };
  struct Expected {
    const Tensor* tensor;
    DLDataType dtype;
  };

  static ffi::Optional<ffi::Function> GetSteering(const ffi::String& name, const Self& self) {
    if (name == kTimeTask) {
      return ffi::Function::FromTyped([self](int task, ffi::String processor, int r0, int r1,
                                             int c0, int c1, int warmup, int reps) -> ffi::String {
        return Guard([&] {
          if (processor != "cpu" && processor != "gpu") ThrowInput("processor: \"cpu\" or \"gpu\"");
          const Processor chosen = processor == "cpu" ? Processor::kCpu : Processor::kGpu;
          const Range range{r0, r1, c0, c1};
          return ffi::String(self->session_.TimeTaskJson(task, chosen, range, warmup, reps));
        });
      });
    }
    if (name == kSetTable) {
      return ffi::Function::FromTyped([self](ffi::String table) {
        Guard([&] { self->session_.SetTable({table.data(), table.size()}); });
      });
    }
    if (name == kUsePlan) {
      return ffi::Function::FromTyped(
          [self](ffi::String plan) { Guard([&] { self->session_.UsePlan(plan); }); });
    }
    return std::nullopt;
  }

  // Pointers of args[first ..], which must be tensors [0, count) of tensors_.
  void Collect(ffi::PackedArgs args, int first, size_t count, void** pointers) const {
    for (size_t i = 0; i < count; ++i) {
      auto tensor = args[first + static_cast<int>(i)].try_cast<DLTensor*>();
      if (!tensor.has_value()) {
        ThrowInput("tensor \"" + tensors_[i].tensor->name + "\": not a tensor");
      }
      pointers[i] = CheckedData(**tensor, *tensors_[i].tensor, tensors_[i].dtype);
    }
  }

  void CheckCount(ffi::PackedArgs args, size_t expected, const char* what) const {
    if (static_cast<size_t>(args.size()) == expected) return;
    ThrowInput(std::string(what) + ": " + std::to_string(args.size()) + " arguments, expected " +
               std::to_string(expected));
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
    Collect(args, 0, tensors_.size(), pointers);
    session_.Run(pointers, pointers + n_inputs_);
  }

  // profile(reps) or profile(reps, inputs...)
  ffi::String Profile(ffi::PackedArgs args) {
    if (args.size() != 1) CheckCount(args, n_inputs_ + 1, "profile: reps and inputs");
    const int reps = args[0].cast<int>();
    if (args.size() == 1) return session_.ProfileJson(reps, nullptr);
    std::vector<void*> pointers(n_inputs_);
    Collect(args, 1, n_inputs_, pointers.data());
    return session_.ProfileJson(reps, pointers.data());
  }

  Session session_;
  std::vector<Expected> tensors_;  // inputs, then outputs
  size_t n_inputs_ = 0;
};

ffi::Module Open(const ffi::String& options) {
  return Guard([&] { return ffi::Module(ffi::make_object<HetcompModule>(std::string(options))); });
}

}  // namespace
}  // namespace hetcomp

TVM_FFI_DLL_EXPORT_TYPED_FUNC(hetcomp_open, hetcomp::Open);
