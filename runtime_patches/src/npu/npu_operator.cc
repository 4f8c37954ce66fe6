#include "npu/npu_operator.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/json_fields.h"

namespace hetcomp {
namespace {

using tvm::ffi::Any;

constexpr std::array<const char*, 8> kTypes = {"float32", "int32", "int16", "uint16",
                                               "int8",    "uint8", "bool",  "bfloat16"};
constexpr std::array<const char*, 24> kOperations = {
    "acc", "load", "index", "const", "cast", "add", "sub", "mul", "div", "min", "max", "and",
    "or",  "xor",  "shl",   "shr",   "eq",   "ne",  "lt",  "le",  "gt",  "ge",  "fma", "select"};
constexpr std::array<const char*, 6> kKinds = {"conv2d", "depthwise", "linear",
                                               "matmul", "reduce",    "map"};
constexpr std::array<const char*, 4> kCombiners = {"sum", "max", "min", "prod"};

// The names are listed in the order of the enumeration's values.
template <typename Enum, size_t N>
Enum ByName(const std::array<const char*, N>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) ThrowInput("NPU operator: unknown name \"" + name + "\"");
  return static_cast<Enum>(found - names.begin());
}

// Typed access to the items of a value.
class Items {
 public:
  explicit Items(const Any& value) {
    auto list = value.try_cast<json::Array>();
    if (!list.has_value()) ThrowInput("NPU operator: a value is no list");
    list_ = *list;
  }

  size_t size() const { return list_.size(); }
  std::string Text(size_t index) const { return std::string(Get<tvm::ffi::String>(index)); }
  int64_t Int(size_t index) const { return Get<int64_t>(index); }
  double Number(size_t index) const { return Get<double>(index); }
  std::vector<int64_t> Ints(size_t index) const {
    std::vector<int64_t> result;
    for (const Any& item : Get<json::Array>(index)) result.push_back(item.cast<int64_t>());
    return result;
  }

 private:
  template <typename T>
  T Get(size_t index) const {
    if (index >= list_.size()) ThrowInput("NPU operator: a value has too few items");
    auto result = list_[static_cast<int64_t>(index)].try_cast<T>();
    if (!result.has_value()) ThrowInput("NPU operator: an item of a value has a wrong type");
    return *result;
  }

  json::Array list_;
};

// What values may refer to.
struct Scope {
  size_t operands;
  size_t axes;
};

size_t CountArguments(NpuOperation operation) {
  if (operation < NpuOperation::kCast) return 0;
  if (operation == NpuOperation::kCast) return 1;
  return operation >= NpuOperation::kFma ? 3 : 2;
}

void ReadPlace(const Items& items, size_t first, const Scope& scope, NpuValue* value) {
  value->offset = items.Int(first);
  value->steps = items.Ints(first + 1);
  if (value->steps.size() != scope.axes) ThrowInput("NPU operator: a step for each axis expected");
}

NpuValue ParseValue(const Any& json, size_t place, const Scope& scope) {
  const Items items(json);
  NpuValue value;
  value.operation = ByName<NpuOperation>(kOperations, items.Text(0));
  value.type = ByName<NpuType>(kTypes, items.Text(1));
  if (value.operation == NpuOperation::kConst) value.number = items.Number(2);
  if (value.operation == NpuOperation::kIndex) ReadPlace(items, 2, scope, &value);
  if (value.operation == NpuOperation::kLoad) {
    const int64_t operand = items.Int(2);
    if (operand < 0 || static_cast<size_t>(operand) >= scope.operands) {
      ThrowInput("NPU operator: no operand " + std::to_string(operand));
    }
    value.operand = static_cast<int>(operand);
    ReadPlace(items, 3, scope, &value);
  }
  const std::array<int*, 3> arguments = {&value.a, &value.b, &value.c};
  for (size_t i = 0; i < CountArguments(value.operation); ++i) {
    const int64_t used = items.Int(2 + i);
    if (used < 0 || static_cast<size_t>(used) >= place) {
      ThrowInput("NPU operator: a value uses one that does not come before it");
    }
    *arguments[i] = static_cast<int>(used);
  }
  return value;
}

std::vector<NpuValue> ParseValues(const json::Array& list, const Scope& scope) {
  std::vector<NpuValue> values;
  for (const Any& item : list) values.push_back(ParseValue(item, values.size(), scope));
  if (values.empty()) ThrowInput("NPU operator: no values");
  return values;
}

int Operand(const Fields& fields, const char* key, const Scope& scope) {
  const int operand = fields.SmallInt(key);
  if (operand < 0 || static_cast<size_t>(operand) >= scope.operands) {
    ThrowInput("NPU operator: no operand " + std::to_string(operand));
  }
  return operand;
}

// Products are summed in int32 or float32.
bool ReadsFloats(const Fields& fields) {
  const NpuType type = ByName<NpuType>(kTypes, fields.Text("dtype"));
  if (type == NpuType::kFloat32 || type == NpuType::kInt32) return type == NpuType::kFloat32;
  ThrowInput("NPU operator: products are summed in int32 or float32");
}

NpuWindow ParseWindow(const Fields& fields, const Scope& scope) {
  NpuWindow window;
  window.floats = ReadsFloats(fields);
  window.data = Operand(fields, "data", scope);
  window.weights = Operand(fields, "weights", scope);
  const std::pair<const char*, int64_t*> numbers[] = {
      {"data_pitch", &window.data_pitch}, {"depth", &window.depth},
      {"pad_value", &window.pad_value},   {"batch", &window.batch},
      {"height", &window.height},         {"width", &window.width},
      {"out_height", &window.out_height}, {"out_width", &window.out_width},
      {"kernel_h", &window.kernel_h},     {"kernel_w", &window.kernel_w},
      {"stride_h", &window.stride_h},     {"stride_w", &window.stride_w},
      {"dilation_h", &window.dilation_h}, {"dilation_w", &window.dilation_w},
      {"pad_top", &window.pad_top},       {"pad_left", &window.pad_left},
      {"groups", &window.groups}};
  for (const auto& [key, number] : numbers) *number = fields.SmallInt(key);
  return window;
}

NpuProduct ParseProduct(const Fields& fields, const Scope& scope) {
  NpuProduct product;
  product.floats = ReadsFloats(fields);
  product.left = Operand(fields, "left", scope);
  product.right = Operand(fields, "right", scope);
  product.left_pitch = fields.SmallInt("left_pitch");
  product.rows = fields.SmallInt("rows");
  product.depth = fields.SmallInt("depth");
  product.columns = fields.SmallInt("columns");
  product.batch = fields.Ints<int64_t>("batch");
  product.left_steps = fields.Ints<int64_t>("left_steps");
  product.right_steps = fields.Ints<int64_t>("right_steps");
  return product;
}

NpuReduction ParseReduction(const Fields& fields, Scope scope) {
  NpuReduction reduction;
  reduction.combiner = ByName<NpuCombiner>(kCombiners, fields.Text("combiner"));
  reduction.type = ByName<NpuType>(kTypes, fields.Text("dtype"));
  reduction.init = fields.Number("init");
  reduction.extents = fields.Ints<int64_t>("extents");
  scope.axes += reduction.extents.size();
  reduction.values = ParseValues(fields.List("values"), scope);
  return reduction;
}

int CheckedTensor(int64_t tensor, size_t n_tensors) {
  if (tensor < 0 || static_cast<size_t>(tensor) >= n_tensors) {
    ThrowInput("NPU operator: no tensor " + std::to_string(tensor));
  }
  return static_cast<int>(tensor);
}

std::shared_ptr<const NpuOperator> ParseOperator(const Any& json, size_t n_tensors) {
  const Fields fields(json, "NPU operator");
  auto result = std::make_shared<NpuOperator>();
  result->kind = ByName<NpuKind>(kKinds, fields.Text("kind"));
  result->shape = fields.Ints<int64_t>("shape");
  for (int64_t tensor : fields.Ints<int64_t>("operands")) {
    result->operands.push_back(CheckedTensor(tensor, n_tensors));
  }
  result->output = CheckedTensor(fields.Int("output"), n_tensors);
  result->output_pitch = fields.SmallInt("output_pitch");
  result->words_pitch = result->shape.empty() ? 0 : result->shape.back();
  const Scope scope{result->operands.size(), result->shape.size()};
  result->values = ParseValues(fields.List("values"), scope);
  if (result->kind == NpuKind::kMap) return result;
  const Fields core(fields.At("core"), "core of an NPU operator");
  if (result->kind == NpuKind::kReduce) {
    result->core = ParseReduction(core, scope);
  } else if (result->kind == NpuKind::kConv2d || result->kind == NpuKind::kDepthwise) {
    result->core = ParseWindow(core, scope);
  } else {
    result->core = ParseProduct(core, scope);
  }
  return result;
}

}  // namespace

size_t SizeOf(NpuType type) {
  if (type == NpuType::kFloat32 || type == NpuType::kInt32) return 4;
  const bool two =
      type == NpuType::kInt16 || type == NpuType::kUint16 || type == NpuType::kBfloat16;
  return two ? 2 : 1;
}

bool MultipliesFloats(const NpuOperator& operation) {
  const auto* window = std::get_if<NpuWindow>(&operation.core);
  const auto* product = std::get_if<NpuProduct>(&operation.core);
  return (window != nullptr && window->floats) || (product != nullptr && product->floats);
}

std::vector<std::shared_ptr<const NpuOperator>> ParseNpuOperators(const Any& value, size_t n_tasks,
                                                                  size_t n_tensors) {
  std::vector<std::shared_ptr<const NpuOperator>> result(n_tasks);
  if (value == nullptr) return result;
  const Fields fields(value, "NPU operators");
  if (fields.Int("version") != kNpuFormat) ThrowInput("NPU operators: unknown version");
  const json::Array list = fields.List("operators");
  if (list.size() != n_tasks) ThrowInput("NPU operators: one for each task expected");
  for (size_t i = 0; i < n_tasks; ++i) {
    const Any item = list[static_cast<int64_t>(i)];
    if (item != nullptr) result[i] = ParseOperator(item, n_tensors);
  }
  return result;
}

}  // namespace hetcomp
