// Random convolutions and products on the drivers `amx` and `reference`: equal to the bit?
//
//   tile_regions SEED COUNT
//
// Ends with 77, and what is missing, where the driver that was linked in is; prints the operator
// that differs and ends with 1.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernels.h"
#include "npu_driver.h"

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

 private:
  std::mt19937 bits_;
};

// An operator with two operands and a bias, and what these hold.
struct Case {
  NpuOperator operation;
  Bytes left, right, bias;
  bool right_is_constant = true;
  std::string text;
};

std::string Text(const char* name, const Numbers& numbers) {
  std::string text = std::string(" ") + name;
  for (int64_t number : numbers) text += " " + std::to_string(number);
  return text;
}

// The sum and a bias by the last axis, as int32 or as its lowest byte.
void Finish(Dice* dice, Case* drawn) {
  const size_t axes = drawn->operation.shape.size();
  NpuValue sum, bias, total, low;
  sum.operation = NpuOperation::kAcc;
  sum.type = bias.type = total.type = NpuType::kInt32;
  bias.operation = NpuOperation::kLoad;
  bias.operand = 2;
  bias.steps = Numbers(axes, 0);
  bias.steps.back() = 1;
  total.operation = NpuOperation::kAdd;
  total.a = 0;
  total.b = 1;
  low.operation = NpuOperation::kCast;
  low.type = NpuType::kUint8;
  low.a = 2;
  drawn->operation.values = {sum, bias, total};
  if (dice->OneIn(2)) drawn->operation.values.push_back(low);
  drawn->operation.operands = {0, 1, 2};
  drawn->operation.output = 3;
  drawn->operation.output_pitch = drawn->operation.shape.back() + dice->Of({0, 0, 5});
  drawn->bias = dice->Some(4 * drawn->operation.shape.back());
}

Case DrawWindow(Dice* dice) {
  NpuWindow w{};
  w.weights = 1;
  w.groups = dice->Of({1, 1, 1, 2, 3});
  w.depth = 4 * dice->Of({1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 32, 33});
  const int64_t group_columns = dice->Of({1, 3, 4, 15, 16, 17, 31, 33, 48, 64, 129, 300});
  w.pad_value = dice->From(0, 255);
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
  drawn.operation.kind = NpuKind::kConv2d;
  drawn.operation.shape = {w.batch, w.out_height, w.out_width, w.groups * group_columns};
  drawn.operation.core = w;
  drawn.left = dice->Some(w.batch * w.height * w.width * w.data_pitch);
  drawn.right = dice->Some(w.kernel_h * w.kernel_w * w.depth * w.groups * group_columns);
  drawn.text = "conv2d" + Text("map", {w.batch, w.height, w.width, w.data_pitch}) +
               Text("depth", {w.depth}) + Text("groups", {w.groups}) +
               Text("kernel", {w.kernel_h, w.kernel_w}) + Text("stride", {w.stride_h, w.stride_w}) +
               Text("dilation", {w.dilation_h, w.dilation_w}) +
               Text("pad", {w.pad_top, w.pad_left, w.pad_value}) +
               Text("shape", drawn.operation.shape);
  Finish(dice, &drawn);
  return drawn;
}

Case DrawProduct(Dice* dice) {
  NpuProduct p{};
  p.right = 1;
  p.rows = dice->Of({1, 2, 3, 13, 15, 16, 17, 31, 32, 33, 49, 64, 100});
  p.depth = 4 * dice->Of({1, 2, 15, 16, 17, 31, 32, 33, 192});
  p.columns = dice->Of({1, 2, 15, 16, 17, 32, 33, 64, 100, 130, 300});
  p.left_pitch = p.depth + dice->Of({0, 0, 8});
  Case drawn;
  drawn.right_is_constant = dice->OneIn(2);
  int64_t left = p.rows * p.left_pitch, right = p.depth / 4 * p.columns;
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
  drawn.left = dice->Some(left);
  drawn.right = dice->Some(4 * right);
  drawn.text = "product" + Text("shape", drawn.operation.shape) + Text("depth", {p.depth}) +
               Text("pitch", {p.left_pitch}) + Text("right steps", p.right_steps) +
               (drawn.right_is_constant ? " constant" : "");
  Finish(dice, &drawn);
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
                    {drawn.bias.size(), drawn.bias.data()},
                    {OutputBytes(drawn.operation), nullptr}};
  NpuCall call;
  call.operation = std::make_shared<NpuOperator>(drawn.operation);
  for (int i = 0; i < 4; ++i) {
    const NpuView view = {i, 0, region.buffers[static_cast<size_t>(i)].bytes};
    if (i < 3) call.operands.push_back(view);
    if (i == 3) call.output = view;
  }
  region.calls = {call};
  region.inputs = {Port(0, drawn.left.size())};
  if (!drawn.right_is_constant) region.inputs.push_back(Port(1, drawn.right.size()));
  region.outputs = {Port(3, OutputBytes(drawn.operation))};
  return region;
}

// Twice, the second time on other bytes at first: nothing may stay from an inference.
Bytes Run(NpuDriver* driver, const NpuRegion& region, const Case& drawn) {
  const std::unique_ptr<NpuKernel> kernel = driver->Open(region);
  const std::atomic<bool> wanted{false};
  Bytes other_left = drawn.left, other_right = drawn.right, output(region.outputs[0].bytes());
  std::reverse(other_left.begin(), other_left.end());
  std::reverse(other_right.begin(), other_right.end());
  const char* const others[] = {other_left.data(), other_right.data()};
  const char* const inputs[] = {drawn.left.data(), drawn.right.data()};
  char* const outputs[] = {output.data()};
  kernel->Run(others, outputs, wanted);
  kernel->Run(inputs, outputs, wanted);
  return output;
}

int Main(uint32_t seed, int count) {
  NpuDriver* const amx = AmxNpu();
  if (const std::string missing = amx->WhyMissing(); !missing.empty()) {
    std::printf("%s\n", missing.c_str());
    return 77;
  }
  for (int i = 0; i < count; ++i) {
    Dice dice(seed + static_cast<uint32_t>(i));
    const Case drawn = dice.OneIn(3) ? DrawProduct(&dice) : DrawWindow(&dice);
    const NpuRegion region = RegionOf(drawn);
    if (Run(amx, region, drawn) == Run(ReferenceNpu(), region, drawn)) continue;
    std::printf("seed %u: %s\n", seed + static_cast<uint32_t>(i), drawn.text.c_str());
    return 1;
  }
  std::printf("%d equal\n", count);
  return 0;
}

}  // namespace
}  // namespace hetcomp

// The runtime wants a model's kernels to be linked in; here is no model.
extern "C" {
const HetcompKernel hetcomp_kernels[] = {{nullptr, nullptr}};
const int hetcomp_kernel_count = 0;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  return hetcomp::Main(static_cast<uint32_t>(std::atol(argv[1])), std::atoi(argv[2]));
}
