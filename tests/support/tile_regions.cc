// Random convolutions and products on the drivers `amx` and `reference`: equal to the bit?
//
//   tile_regions SEED COUNT
//
// Ends with 77, and what is missing, where the driver that was linked in is; prints the operator
// that differs and ends with 1.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "no_kernels.h"
#include "npu/npu_driver.h"
#include "npu/npu_requantise.h"

namespace hetcomp {
namespace {

using Bytes = std::vector<char>;
using Numbers = std::vector<int64_t>;

int64_t Product(const Numbers& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), int64_t{1}, std::multiplies<int64_t>());
}

class Dice {
 public:
  explicit Dice(uint32_t seed) : bits_(seed) {}

  int64_t From(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(bits_);
  }
  int64_t Of(const Numbers& numbers) {
    return numbers[static_cast<size_t>(From(0, static_cast<int64_t>(numbers.size()) - 1))];
  }
  bool OneIn(int n) { return From(1, n) == 1; }

  // Over the whole range, both ends likely.
  Bytes Some(int64_t count) {
    Bytes bytes(static_cast<size_t>(count));
    for (char& byte : bytes) {
      byte = static_cast<char>(OneIn(8) ? Of({0, 127, 128, 255}) : From(0, 255));
    }
    return bytes;
  }

  // `count` numbers that a product multiplies.
  Bytes Elements(bool floats, int64_t count) { return floats ? Halves(count) : Some(count); }

  // bfloat16 of both signs: mostly about 1, some so small that products are no normal numbers.
  Bytes Halves(int64_t count) {
    Bytes bytes(2 * static_cast<size_t>(count));
    for (size_t at = 0; at < bytes.size(); at += 2) {
      const int64_t exponent = OneIn(8) ? From(0, 70) : From(118, 129);
      const uint16_t half = static_cast<uint16_t>(From(0, 1) << 15 | exponent << 7 | From(0, 127));
      std::memcpy(&bytes[at], &half, sizeof half);
    }
    return bytes;
  }

 private:
  std::mt19937 bits_;
};

// An operator and what its operands hold: both sides of the product, bytes of the output's shape
// that may be added, and constants that its values load.
struct Case {
  NpuOperator operation;
  Bytes left, right, added;
  std::vector<Bytes> constants;
  bool right_is_constant = true;
  std::string text;
};

constexpr int kAdded = 2;
constexpr int kFirstConstant = 3;

std::string Text(const char* name, const Numbers& numbers) {
  std::string text = std::string(" ") + name;
  for (int64_t number : numbers) text += " " + std::to_string(number);
  return text;
}

// Appends values to a case's operator, and the constants that they load.
class Writer {
 public:
  explicit Writer(Case* drawn) : drawn_(drawn), axes_(drawn->operation.shape.size()) {}

  int Add(NpuOperation operation, NpuType type, int a = -1, int b = -1, int c = -1) {
    NpuValue value;
    value.operation = operation;
    value.type = type;
    value.a = a;
    value.b = b;
    value.c = c;
    drawn_->operation.values.push_back(value);
    return static_cast<int>(drawn_->operation.values.size()) - 1;
  }

  int Load(NpuType type, int operand, Numbers steps) {
    const int place = Add(NpuOperation::kLoad, type);
    drawn_->operation.values.back().operand = operand;
    drawn_->operation.values.back().steps = std::move(steps);
    return place;
  }

  // One number for all columns, or one each.
  template <typename T>
  int Constant(NpuType type, const std::vector<T>& numbers) {
    Bytes bytes(numbers.size() * sizeof(T));
    std::memcpy(bytes.data(), numbers.data(), bytes.size());
    drawn_->constants.push_back(std::move(bytes));
    Numbers steps(axes_, 0);
    steps.back() = numbers.size() == 1 ? 0 : 1;
    const int operand = kFirstConstant + static_cast<int>(drawn_->constants.size()) - 1;
    return Load(type, operand, std::move(steps));
  }
  int Float(float number) { return Constant<float>(NpuType::kFloat32, {number}); }

 private:
  Case* const drawn_;
  const size_t axes_;
};

// Rounded to the nearest byte about a zero point.
int Quantise(Dice* dice, int value, NpuType type, Writer* writer) {
  const float least = type == NpuType::kInt8 ? -128.0f : 0.0f;
  const float point = least + static_cast<float>(dice->From(0, 255));
  const float magic = 12582912.0f;
  value = writer->Add(NpuOperation::kMax, NpuType::kFloat32, value, writer->Float(least - point));
  value = writer->Add(NpuOperation::kMin, NpuType::kFloat32, value,
                      writer->Float(least + 255.0f - point));
  value = writer->Add(NpuOperation::kAdd, NpuType::kFloat32, value, writer->Float(magic + point));
  value = writer->Add(NpuOperation::kSub, NpuType::kFloat32, value, writer->Float(magic));
  return writer->Add(NpuOperation::kCast, type, value);
}

std::vector<float> Scales(Dice* dice, int64_t count, float scale) {
  std::vector<float> scales(static_cast<size_t>(count));
  for (float& one : scales) one = scale * static_cast<float>(dice->From(50, 150)) / 100.0f;
  return scales;
}

// Along each axis, without gaps.
Numbers DenseSteps(const Numbers& shape) {
  Numbers steps(shape.size(), 1);
  for (size_t axis = shape.size() - 1; axis-- > 0;) steps[axis] = steps[axis + 1] * shape[axis + 1];
  return steps;
}

// `byte * factor` and another tensor's bytes, or a number a column.
int AddAnother(Dice* dice, int byte, const Numbers& shape, Writer* writer) {
  byte = writer->Add(NpuOperation::kCast, NpuType::kFloat32, byte);
  const int factor = writer->Float(0.37f);
  if (dice->OneIn(3)) {
    const int numbers = writer->Constant(NpuType::kFloat32, Scales(dice, shape.back(), 3.0f));
    return writer->Add(NpuOperation::kFma, NpuType::kFloat32, byte, factor, numbers);
  }
  const NpuType type = dice->OneIn(2) ? NpuType::kInt8 : NpuType::kUint8;
  int addend = writer->Load(type, kAdded, DenseSteps(shape));
  addend = writer->Add(NpuOperation::kCast, NpuType::kFloat32, addend);
  addend = writer->Add(NpuOperation::kFma, NpuType::kFloat32, addend, writer->Float(0.61f),
                       writer->Float(-70.5f));
  return writer->Add(NpuOperation::kFma, NpuType::kFloat32, byte, factor, addend);
}

// What becomes of the sums: they and a bias, or bytes, or these and an addend, or floats.
void Finish(Dice* dice, Case* drawn) {
  const Numbers& shape = drawn->operation.shape;
  const NpuType type = dice->OneIn(2) ? NpuType::kInt8 : NpuType::kUint8;
  Writer writer(drawn);
  drawn->operation.output_pitch = shape.back() + dice->Of({0, 0, 5});
  drawn->added = dice->Some(Product(shape));
  std::vector<int32_t> bias(static_cast<size_t>(shape.back()));
  for (int32_t& one : bias) one = static_cast<int32_t>(dice->From(-40000, 40000));
  const int sum = writer.Add(NpuOperation::kAcc, NpuType::kInt32);
  int value =
      writer.Add(NpuOperation::kAdd, NpuType::kInt32, sum, writer.Constant(NpuType::kInt32, bias));
  if (dice->OneIn(5)) return;
  value = writer.Add(NpuOperation::kCast, NpuType::kFloat32, value);
  const int64_t scales = dice->OneIn(2) ? 1 : shape.back();
  value = writer.Add(NpuOperation::kMul, NpuType::kFloat32, value,
                     writer.Constant(NpuType::kFloat32, Scales(dice, scales, 0.001f)));
  value = Quantise(dice, value, type, &writer);
  if (dice->OneIn(3)) return;
  value = AddAnother(dice, value, shape, &writer);
  if (dice->OneIn(4)) return;
  Quantise(dice, value, type, &writer);
}

// A bias, perhaps another tensor, perhaps no number below 0, and half of the bits or all.
void FinishFloats(Dice* dice, Case* drawn) {
  const Numbers& shape = drawn->operation.shape;
  Writer writer(drawn);
  drawn->operation.output_pitch = shape.back() + dice->Of({0, 0, 5});
  drawn->added = dice->Halves(Product(shape));
  const int sum = writer.Add(NpuOperation::kAcc, NpuType::kFloat32);
  const int bias = writer.Constant(NpuType::kFloat32, Scales(dice, shape.back(), 0.5f));
  int value = writer.Add(NpuOperation::kAdd, NpuType::kFloat32, sum, bias);
  if (dice->OneIn(2)) {
    const int addend = writer.Load(NpuType::kBfloat16, kAdded, DenseSteps(shape));
    value = writer.Add(NpuOperation::kFma, NpuType::kFloat32, addend, writer.Float(0.3f), value);
  }
  if (dice->OneIn(2)) {
    value = writer.Add(NpuOperation::kMax, NpuType::kFloat32, value, writer.Float(0.0f));
  }
  if (dice->OneIn(3)) return;
  writer.Add(NpuOperation::kCast, NpuType::kBfloat16, value);
}

Case DrawWindow(Dice* dice, bool depthwise) {
  NpuWindow w{};
  w.floats = !depthwise && dice->OneIn(3);
  w.weights = 1;
  w.groups =
      depthwise ? dice->Of({1, 3, 8, 15, 16, 17, 64, 65, 144, 200}) : dice->Of({1, 1, 1, 2, 3});
  w.depth =
      depthwise ? 1 : (w.floats ? 2 : 4) * dice->Of({1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 32, 33});
  const int64_t group_columns =
      depthwise ? 1 : dice->Of({1, 3, 4, 15, 16, 17, 31, 33, 48, 64, 129, 300});
  w.pad_value = w.floats ? 0 : dice->From(0, 255);
  w.batch = dice->Of({1, 1, 1, 2, 3});
  const bool pixel = dice->OneIn(3);
  w.kernel_h = pixel ? 1 : dice->From(1, 5);
  w.kernel_w = pixel ? 1 : dice->From(1, 5);
  w.stride_h = dice->OneIn(2) ? 1 : dice->From(1, 3);
  w.stride_w = dice->OneIn(2) ? w.stride_h : dice->From(1, 3);
  w.dilation_h = dice->OneIn(3) ? dice->From(1, 3) : 1;
  w.dilation_w = dice->OneIn(3) ? dice->From(1, 3) : 1;
  const int64_t span_h = (w.kernel_h - 1) * w.dilation_h + 1;
  const int64_t span_w = (w.kernel_w - 1) * w.dilation_w + 1;
  w.pad_top = dice->OneIn(2) ? 0 : dice->From(0, span_h);
  w.pad_left = dice->OneIn(2) ? 0 : dice->From(0, span_w);
  w.height = dice->From(1, 20);
  w.width = dice->From(1, 40);
  const int64_t bottom = w.pad_top == 0 ? 0 : dice->From(0, span_h);
  const int64_t right = w.pad_left == 0 ? 0 : dice->From(0, span_w);
  const auto outputs = [](int64_t size, int64_t span, int64_t stride) {
    return size < span ? 1 : (size - span) / stride + 1;
  };
  w.out_height = outputs(w.height + w.pad_top + bottom, span_h, w.stride_h);
  w.out_width = outputs(w.width + w.pad_left + right, span_w, w.stride_w);
  w.data_pitch = w.groups * w.depth + dice->Of({0, 0, 3, 64});

  Case drawn;
  drawn.operation.kind = depthwise ? NpuKind::kDepthwise : NpuKind::kConv2d;
  drawn.operation.shape = {w.batch, w.out_height, w.out_width, w.groups * group_columns};
  drawn.operation.core = w;
  drawn.left = dice->Elements(w.floats, w.batch * w.height * w.width * w.data_pitch);
  const bool may_be_part = !depthwise && w.groups == 1;
  const int64_t pitch = w.groups * group_columns + (may_be_part ? dice->Of({0, 0, 5}) : 0);
  drawn.operation.words_pitch = pitch;
  drawn.right = dice->Elements(w.floats, w.kernel_h * w.kernel_w * w.depth * pitch);
  drawn.text = std::string(depthwise ? "depthwise" : "conv2d") + (w.floats ? " bf16" : "") +
               Text("map", {w.batch, w.height, w.width, w.data_pitch}) + Text("depth", {w.depth}) +
               Text("groups", {w.groups}) + Text("pitch", {pitch}) +
               Text("kernel", {w.kernel_h, w.kernel_w}) + Text("stride", {w.stride_h, w.stride_w}) +
               Text("dilation", {w.dilation_h, w.dilation_w}) +
               Text("pad", {w.pad_top, w.pad_left, w.pad_value}) +
               Text("shape", drawn.operation.shape);
  (w.floats ? FinishFloats : Finish)(dice, &drawn);
  return drawn;
}

Case DrawProduct(Dice* dice) {
  NpuProduct p{};
  p.floats = dice->OneIn(3);
  p.right = 1;
  p.rows = dice->Of({1, 2, 3, 13, 15, 16, 17, 31, 32, 33, 49, 64, 100});
  const int64_t word = p.floats ? 2 : 4;
  p.depth = word * dice->Of({1, 2, 15, 16, 17, 31, 32, 33, 192});
  p.columns = dice->Of({1, 2, 15, 16, 17, 32, 33, 64, 100, 130, 300});
  p.left_pitch = p.depth + dice->Of({0, 0, 8});
  Case drawn;
  drawn.right_is_constant = dice->OneIn(2);
  drawn.operation.words_pitch = p.columns + dice->Of({0, 0, 7});
  int64_t left = p.rows * p.left_pitch, right = p.depth / word * drawn.operation.words_pitch;
  for (int64_t axes = dice->From(0, 2); axes > 0; --axes) {
    const int64_t extent = dice->From(1, 3);
    const bool shared = dice->OneIn(3);
    p.batch.insert(p.batch.begin(), extent);
    p.left_steps.insert(p.left_steps.begin(), left);
    p.right_steps.insert(p.right_steps.begin(), shared ? 0 : right);
    left *= extent;
    if (!shared) right *= extent;
  }
  drawn.operation.kind = p.batch.empty() ? NpuKind::kLinear : NpuKind::kMatmul;
  drawn.operation.shape = p.batch;
  drawn.operation.shape.insert(drawn.operation.shape.end(), {p.rows, p.columns});
  drawn.operation.core = p;
  drawn.left = dice->Elements(p.floats, left);
  drawn.right = dice->Elements(p.floats, word * right);
  drawn.text = std::string("product") + (p.floats ? " bf16" : "") +
               Text("shape", drawn.operation.shape) + Text("depth", {p.depth}) +
               Text("pitches", {p.left_pitch, drawn.operation.words_pitch}) +
               Text("right steps", p.right_steps) + (drawn.right_is_constant ? " constant" : "");
  (p.floats ? FinishFloats : Finish)(dice, &drawn);
  return drawn;
}

NpuPort Port(int buffer, size_t bytes) {
  NpuPort port;
  port.view = {buffer, 0, bytes};
  port.rows = 1;
  port.row_bytes = port.pitch = bytes;
  return port;
}

size_t OutputBytes(const NpuOperator& operation) {
  const int64_t rows = Product(operation.shape) / operation.shape.back();
  return static_cast<size_t>(rows * operation.output_pitch) * SizeOf(operation.values.back().type);
}

NpuRegion RegionOf(const Case& drawn) {
  NpuRegion region;
  region.name = drawn.text;
  region.buffers = {{drawn.left.size(), nullptr},
                    {drawn.right.size(), drawn.right_is_constant ? drawn.right.data() : nullptr},
                    {drawn.added.size(), nullptr}};
  for (const Bytes& constant : drawn.constants) {
    region.buffers.push_back({constant.size(), constant.data()});
  }
  NpuCall call;
  call.operation = std::make_shared<NpuOperator>(drawn.operation);
  for (size_t i = 0; i < region.buffers.size(); ++i) {
    call.operands.push_back({static_cast<int>(i), 0, region.buffers[i].bytes});
  }
  const int output = static_cast<int>(region.buffers.size());
  const size_t output_bytes = OutputBytes(drawn.operation);
  region.buffers.push_back({output_bytes, nullptr});
  call.output = {output, 0, output_bytes};
  region.calls = {call};
  region.inputs = {Port(0, drawn.left.size()), Port(kAdded, drawn.added.size())};
  if (!drawn.right_is_constant) region.inputs.push_back(Port(1, drawn.right.size()));
  region.outputs = {Port(output, output_bytes)};
  return region;
}

// Twice, the second time on other bytes at first: nothing may stay from an inference.
Bytes Run(NpuDriver* driver, const NpuRegion& region, const Case& drawn) {
  const std::unique_ptr<NpuKernel> kernel = driver->Open(region);
  const std::atomic<bool> wanted{false};
  const auto reversed = [](Bytes bytes) {
    std::reverse(bytes.begin(), bytes.end());
    return bytes;
  };
  const Bytes left = reversed(drawn.left), added = reversed(drawn.added);
  const Bytes right = reversed(drawn.right);
  Bytes output(region.outputs[0].bytes());
  const char* const others[] = {left.data(), added.data(), right.data()};
  const char* const inputs[] = {drawn.left.data(), drawn.added.data(), drawn.right.data()};
  char* const outputs[] = {output.data()};
  kernel->Run(others, outputs, wanted);
  kernel->Run(inputs, outputs, wanted);
  return output;
}

// Whether sums become bytes in one pass.
bool IsRequantised(const Case& drawn) {
  HostCall call;
  call.operation = std::make_shared<NpuOperator>(drawn.operation);
  const auto add = [&](const Bytes& bytes, bool constant) {
    call.operands.push_back({bytes.data(), bytes.size()});
    call.constant.push_back(constant);
  };
  add(drawn.left, false);
  add(drawn.right, drawn.right_is_constant);
  add(drawn.added, false);
  for (const Bytes& constant : drawn.constants) add(constant, true);
  return MatchRequantise(call).has_value();
}

int Main(uint32_t seed, int count) {
  NpuDriver* const amx = AmxNpu();
  if (const std::string missing = amx->WhyMissing(); !missing.empty()) {
    std::printf("%s\n", missing.c_str());
    return 77;
  }
  int requantised = 0;
  for (int i = 0; i < count; ++i) {
    Dice dice(seed + static_cast<uint32_t>(i));
    const Case drawn = dice.OneIn(3) ? DrawProduct(&dice) : DrawWindow(&dice, dice.OneIn(4));
    const NpuRegion region = RegionOf(drawn);
    if (IsRequantised(drawn)) ++requantised;
    if (Run(amx, region, drawn) == Run(ReferenceNpu(), region, drawn)) continue;
    std::printf("seed %u: %s\n", seed + static_cast<uint32_t>(i), drawn.text.c_str());
    return 1;
  }
  std::printf("%d equal, %d requantised in one pass\n", count, requantised);
  return 0;
}

}  // namespace
}  // namespace hetcomp

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  return hetcomp::Main(static_cast<uint32_t>(std::atol(argv[1])), std::atoi(argv[2]));
}
