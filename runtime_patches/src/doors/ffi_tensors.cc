#include "doors/ffi_tensors.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.h"

namespace hetcomp {
namespace {

namespace ffi = tvm::ffi;

std::string ShapeText(const int64_t* shape, size_t n) {
  std::string text = "(";
  for (size_t i = 0; i < n; ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

bool SameShape(const DLTensor& got, const Tensor& expected) {
  if (static_cast<size_t>(got.ndim) != expected.shape.size()) return false;
  return std::equal(expected.shape.begin(), expected.shape.end(), got.shape);
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

// What a tensor over a block keeps alive.
struct Holder {
  DLManagedTensorVersioned managed;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  Block memory;
};

std::vector<int64_t> DenseStrides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

}  // namespace

TensorArguments::TensorArguments(const Graph& graph) : n_inputs_(graph.inputs.size()) {
  for (const std::vector<int>* list : {&graph.inputs, &graph.outputs}) {
    for (int index : *list) {
      const Tensor& tensor = graph.tensors[static_cast<size_t>(index)];
      expected_.push_back({tensor, ffi::StringToDLDataType(ffi::String(tensor.dtype))});
    }
  }
}

void TensorArguments::Collect(ffi::PackedArgs args, int first, size_t count,
                              void** pointers) const {
  for (size_t i = 0; i < count; ++i) {
    auto tensor = args[first + static_cast<int>(i)].try_cast<DLTensor*>();
    if (!tensor.has_value()) {
      ThrowInput("tensor \"" + expected_[i].tensor.name + "\": not a tensor");
    }
    pointers[i] = CheckedData(**tensor, expected_[i].tensor, expected_[i].dtype);
  }
}

ffi::Tensor TensorArguments::Wrap(const std::string& name, Block memory) const {
  const auto found = std::find_if(expected_.begin(), expected_.end(),
                                  [&](const Expected& item) { return item.tensor.name == name; });
  if (found == expected_.end()) ThrowInput("no input or output \"" + name + "\"");
  auto holder = std::make_unique<Holder>();
  holder->shape = found->tensor.shape;
  holder->strides = DenseStrides(holder->shape);
  holder->memory = std::move(memory);
  DLManagedTensorVersioned& managed = holder->managed;
  managed.version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
  managed.flags = 0;
  managed.manager_ctx = holder.get();
  managed.deleter = [](DLManagedTensorVersioned* self) {
    delete static_cast<Holder*>(self->manager_ctx);
  };
  managed.dl_tensor = {holder->memory.get(),
                       {kDLCPU, 0},
                       static_cast<int32_t>(holder->shape.size()),
                       found->dtype,
                       holder->shape.data(),
                       holder->strides.data(),
                       0};
  return ffi::Tensor::FromDLPackVersioned(&holder.release()->managed);
}

void CheckCount(ffi::PackedArgs args, size_t expected, const char* what) {
  if (static_cast<size_t>(args.size()) == expected) return;
  ThrowInput(std::string(what) + ": " + std::to_string(args.size()) + " arguments, expected " +
             std::to_string(expected));
}

}  // namespace hetcomp
