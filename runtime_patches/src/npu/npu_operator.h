// Operators of region programs: the JSON of hetcomp/npu/operators.py, which says what each means.
#ifndef HETCOMP_NPU_OPERATOR_H_
#define HETCOMP_NPU_OPERATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace tvm::ffi {
class Any;
}

namespace hetcomp {

constexpr int kNpuFormat = 1;

// kBfloat16 is how a number lies in memory; it is computed with as kFloat32.
enum class NpuType { kFloat32, kInt32, kInt16, kUint16, kInt8, kUint8, kBool, kBfloat16 };

size_t SizeOf(NpuType type);

enum class NpuOperation {
  // Without arguments that are values.
  kAcc,
  kLoad,
  kIndex,
  kConst,
  // With one, two, three.
  kCast,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMin,
  kMax,
  kAnd,
  kOr,
  kXor,
  kShl,
  kShr,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kFma,
  kSelect,
};

struct NpuValue {
  NpuOperation operation;
  NpuType type;
  int a = -1;  // places of values that come before it
  int b = -1;
  int c = -1;
  int operand = -1;  // of a load
  int64_t offset = 0;
  std::vector<int64_t> steps;  // one an axis
  double number = 0.0;
};

// `floats` of this and the next: of bfloat16, in float32; else of bytes, in int32.
struct NpuWindow {
  bool floats;
  int data, weights;
  int64_t data_pitch, depth, pad_value;
  int64_t batch, height, width, out_height, out_width;
  int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int64_t pad_top, pad_left, groups;
};

struct NpuProduct {
  bool floats;
  int left, right;
  int64_t left_pitch, rows, depth, columns;
  std::vector<int64_t> batch, left_steps, right_steps;
};

enum class NpuCombiner { kSum, kMax, kMin, kProd };

struct NpuReduction {
  NpuCombiner combiner;
  NpuType type;
  double init;
  std::vector<int64_t> extents;
  std::vector<NpuValue> values;
};

enum class NpuKind { kConv2d, kDepthwise, kLinear, kMatmul, kReduce, kMap };

struct NpuOperator {
  NpuKind kind;
  std::vector<int64_t> shape;
  std::vector<int> operands;  // tensors of the task graph
  int output;
  int64_t output_pitch;
  int64_t
      words_pitch;  // of a product's right operand: all its columns, where this has some of them
  std::variant<std::monostate, NpuWindow, NpuProduct, NpuReduction> core;
  std::vector<NpuValue> values;
};

// Whether it is a product of bfloat16.
bool MultipliesFloats(const NpuOperator& operation);

// By task; null where NPUs take it not. `value` is the description's entry "npu", which may be
// null. Indices are within `n_tensors`, and values use those before them only. Throws
// Error(kInput).
std::vector<std::shared_ptr<const NpuOperator>> ParseNpuOperators(const tvm::ffi::Any& value,
                                                                  size_t n_tasks, size_t n_tensors);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_OPERATOR_H_
