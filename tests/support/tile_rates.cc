// How fast driver `amx` is, and what it takes beside the tiles' instructions.
//
//   tile_rates amx    the best rate of a square product in tiles alone, and those of layers
//   tile_rates none   the layers with tiles that do nothing, on any CPU
//
// A line a layer: name, multiply-adds in millions, least time in microseconds of 20; of `amx` TOPS
// and the share of the product's rate too. Ends with 77 where AMX is missing.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "no_kernels.h"
#include "npu/npu_amx_probe.h"
#include "npu/npu_amx_tiles.h"
#include "npu/npu_tile_driver.h"
#include "npu/npu_tile_words.h"

namespace hetcomp {
namespace {

constexpr int kReps = 20;
constexpr double kLargeMmac = 50.0;  // what the median is over

struct NoTiles {
  void Configure(const TileConfig&) {}
  void Release() {}
  template <int kTile>
  void Zero() {}
  template <int kTile>
  void Load(const void*, int64_t) {}
  template <int kTile>
  void Store(void*, int64_t) {}
  template <int kSums, int kLeft, int kRight>
  void Dot() {}
  template <int kSums, int kLeft, int kRight>
  void DotFloats() {}
};

// A convolution, padded so that stride alone shrinks its map; a product is one of a single pixel.
struct Layer {
  int64_t height, width, ins, outs, kernel, stride;

  int64_t out_height() const { return Shrunk(height); }
  int64_t out_width() const { return Shrunk(width); }
  int64_t pixels() const { return height * width; }
  int64_t out_pixels() const { return out_height() * out_width(); }
  double mmac() const {
    return 1e-6 * static_cast<double>(out_pixels() * outs * kernel * kernel * ins);
  }

 private:
  int64_t Shrunk(int64_t size) const { return (size + kernel / 2 * 2 - kernel) / stride + 1; }
};

constexpr Layer Square(int64_t size, int64_t ins, int64_t outs, int64_t kernel, int64_t stride) {
  return {size, size, ins, outs, kernel, stride};
}

constexpr Layer Product(int64_t rows, int64_t depth, int64_t columns) {
  return {rows, 1, depth, columns, 1, 1};
}

// ResNet-50's, and those of BERT-base with 128 tokens.
constexpr Layer kLayers[] = {
    Square(224, 4, 64, 7, 2),    Square(56, 64, 64, 3, 1),   Square(56, 64, 256, 1, 1),
    Square(56, 256, 64, 1, 1),   Square(28, 128, 128, 3, 1), Square(28, 128, 512, 1, 1),
    Square(28, 512, 128, 1, 1),  Square(14, 256, 256, 3, 1), Square(14, 256, 1024, 1, 1),
    Square(14, 1024, 256, 1, 1), Square(7, 512, 512, 3, 1),  Square(7, 512, 2048, 1, 1),
    Square(7, 2048, 512, 1, 1),  Product(128, 768, 768),     Product(128, 768, 3072),
    Product(128, 3072, 768)};

double LeastUs(const std::function<void()>& run) {
  double least = 1e30;
  for (int rep = 0; rep < kReps; ++rep) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
    least = std::min(least, took.count());
  }
  return least;
}

// The layer with a bias, rounded to bytes.
struct Operands {
  explicit Operands(const Layer& layer)
      : weights(static_cast<size_t>(layer.kernel * layer.kernel * layer.ins * layer.outs), 3),
        bias(static_cast<size_t>(layer.outs), 77),
        numbers({0.003f, -3.0f, 252.0f, 12582915.0f, 12582912.0f}) {}

  std::vector<char> weights;
  std::vector<int32_t> bias;
  std::vector<float> numbers;
};

NpuOperator OperatorOf(const Layer& layer) {
  NpuWindow w{};
  w.weights = 1;
  w.data_pitch = w.depth = layer.ins;
  w.batch = w.groups = w.dilation_h = w.dilation_w = 1;
  w.height = layer.height;
  w.width = layer.width;
  w.out_height = layer.out_height();
  w.out_width = layer.out_width();
  w.kernel_h = w.kernel_w = layer.kernel;
  w.stride_h = w.stride_w = layer.stride;
  w.pad_top = w.pad_left = layer.kernel / 2;
  NpuOperator operation;
  operation.kind = NpuKind::kConv2d;
  operation.shape = {1, w.out_height, w.out_width, layer.outs};
  operation.output_pitch = operation.words_pitch = layer.outs;
  operation.core = w;
  const auto add = [&](NpuOperation what, NpuType type, int a, int b) {
    NpuValue value;
    value.operation = what;
    value.type = type;
    value.a = a;
    value.b = b;
    operation.values.push_back(value);
    return static_cast<int>(operation.values.size()) - 1;
  };
  const auto load = [&](NpuType type, int operand, int64_t offset, int64_t step) {
    const int place = add(NpuOperation::kLoad, type, -1, -1);
    operation.values.back().operand = operand;
    operation.values.back().offset = offset;
    operation.values.back().steps = {0, 0, 0, step};
    return place;
  };
  int value = add(NpuOperation::kAcc, NpuType::kInt32, -1, -1);
  const int bias = load(NpuType::kInt32, 2, 0, 1);
  value = add(NpuOperation::kAdd, NpuType::kInt32, value, bias);
  value = add(NpuOperation::kCast, NpuType::kFloat32, value, -1);
  const NpuOperation steps[] = {NpuOperation::kMul, NpuOperation::kMax, NpuOperation::kMin,
                                NpuOperation::kAdd, NpuOperation::kSub};
  for (int i = 0; i < 5; ++i) {
    const int number = load(NpuType::kFloat32, 3, i, 0);
    value = add(steps[i], NpuType::kFloat32, value, number);
  }
  add(NpuOperation::kCast, NpuType::kUint8, value, -1);
  return operation;
}

// On maps in memory, as within a region: nothing is copied in or out.
template <typename Tiles>
double LayerUs(const Layer& layer) {
  const Operands operands(layer);
  NpuLines map(static_cast<size_t>(layer.pixels() * layer.ins) + kHostSlack);
  NpuLines output(static_cast<size_t>(layer.out_pixels() * layer.outs));
  HostCall call;
  call.operation = std::make_shared<NpuOperator>(OperatorOf(layer));
  const auto bytes = [](const auto& numbers) {
    return NpuArray{reinterpret_cast<const char*>(numbers.data()),
                    numbers.size() * sizeof(numbers[0])};
  };
  call.operands = {{map.data(), static_cast<size_t>(layer.pixels() * layer.ins)},
                   bytes(operands.weights),
                   bytes(operands.bias),
                   bytes(operands.numbers)};
  call.constant = {false, true, true, true};
  call.output = output.data();
  call.output_bytes = static_cast<size_t>(layer.out_pixels() * layer.outs);
  const auto step = MakeTileStep(call, std::make_unique<TileEngineOf<Tiles>>());
  return LeastUs([&] { step->Run(); });
}

// Multiply-adds in a microsecond, in millions, of tiles alone.
template <typename Tiles>
double ProductRate(int64_t size) {
  std::vector<TileChunk> chunks;
  AppendChunks(0, 0, size, &chunks);
  std::vector<int64_t> offsets;
  for (const TileChunk& chunk : chunks) offsets.push_back(chunk.left);
  const std::vector<char> words(size * size, 3);
  TileWords packed(chunks, size);
  packed.Pack(words.data(), size);
  NpuLines left(size * size);
  NpuLines sums(2 * kTileRows * size * sizeof(int32_t));
  TileJob job;
  job.left_stride = size;
  job.chunks = offsets.data();
  job.n_chunks = offsets.size();
  job.right = packed.right().data;
  job.panel_step = packed.right().panel_step;
  job.chunk_step = packed.right().chunk_step;
  job.right_stride = packed.right().stride;
  job.panels = size / kTileColumns;
  job.sums = reinterpret_cast<int32_t*>(sums.data());
  job.sums_stride = size;
  TileEngineOf<Tiles> engine;
  engine.Configure(kTileRows);
  const double us = LeastUs([&] {
    for (int64_t row = 0; row < size; row += 2 * kTileRows) {
      job.left[0] = left.data() + row * size;
      job.left[1] = job.left[0] + kTileRows * size;
      engine.Multiply(job);
    }
  });
  engine.Release();
  return 1e-6 * static_cast<double>(size * size * size) / us;
}

template <typename Tiles>
void PrintLayers(double rate) {
  std::vector<double> shares;
  for (const Layer& layer : kLayers) {
    const double us = LayerUs<Tiles>(layer);
    std::printf("%ldx%ld %ld->%ld k%ld s%ld\t%.1f MMAC\t%.1f us", layer.height, layer.width,
                layer.ins, layer.outs, layer.kernel, layer.stride, layer.mmac(), us);
    if (rate > 0.0) {
      std::printf("\t%.3f TOPS\t%.0f%%", 2.0 * layer.mmac() / us, 100.0 * layer.mmac() / us / rate);
    }
    std::printf("\n");
    if (layer.mmac() >= kLargeMmac) shares.push_back(100.0 * layer.mmac() / us / rate);
  }
  std::sort(shares.begin(), shares.end());
  if (rate > 0.0)
    std::printf("median from %.0f MMAC on\t%.0f%%\n", kLargeMmac, shares[shares.size() / 2]);
}

int Main(const std::string& tiles) {
  if (tiles == "none") {
    PrintLayers<NoTiles>(0.0);
    return 0;
  }
#if defined(__x86_64__)
  const std::string missing = WhyNoAmx(ProbeAmx());
  if (missing.empty()) {
    double rate = 0.0;
    for (const int64_t size : {256, 512, 1024}) {
      const double found = ProductRate<AmxTiles>(size);
      std::printf("%ldx%ldx%ld in tiles alone\t%.3f TOPS\n", size, size, size, 2.0 * found);
      rate = std::max(rate, found);
    }
    PrintLayers<AmxTiles>(rate);
    return 0;
  }
#else
  const std::string missing = WhyNoAmx(ProbeAmx());
#endif
  std::printf("%s\n", missing.c_str());
  return 77;
}

}  // namespace
}  // namespace hetcomp

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  return hetcomp::Main(argv[1]);
}
