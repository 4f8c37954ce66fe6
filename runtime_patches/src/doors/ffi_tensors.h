// Tensors of tvm_ffi's callers: checked where they come in, made where session memory goes out.
#ifndef HETCOMP_FFI_TENSORS_H_
#define HETCOMP_FFI_TENSORS_H_

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

#include <cstddef>
#include <string>
#include <vector>

#include "model/arena.h"
#include "model/model.h"

namespace hetcomp {

// The inputs and outputs of a model as arguments of a call. Immutable; outlives the model.
class TensorArguments {
 public:
  explicit TensorArguments(const Graph& graph);

  size_t n_inputs() const { return n_inputs_; }
  size_t size() const { return expected_.size(); }

  // Addresses of args[first ..], which must be the first `count` of inputs and outputs. Throws
  // Error(kInput) unless each is dense host memory of exactly the right shape and dtype.
  void Collect(tvm::ffi::PackedArgs args, int first, size_t count, void** pointers) const;

  // `memory`, which stays alive as long as the result, as the tensor of that name.
  tvm::ffi::Tensor Wrap(const std::string& name, Block memory) const;

 private:
  struct Expected {
    Tensor tensor;
    DLDataType dtype;
  };
  std::vector<Expected> expected_;  // inputs, then outputs
  size_t n_inputs_;
};

// Throws Error(kInput) unless there are so many arguments.
void CheckCount(tvm::ffi::PackedArgs args, size_t expected, const char* what);

}  // namespace hetcomp

#endif  // HETCOMP_FFI_TENSORS_H_
