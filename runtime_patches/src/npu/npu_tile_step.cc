#include "npu/npu_tile_step.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "npu/npu_tile_map.h"
#include "npu/npu_tile_output.h"
#include "npu/npu_tile_product.h"
#include "npu/npu_tile_words.h"

namespace hetcomp {
namespace {

constexpr int64_t kWord = 4;

const char* DataOf(const HostCall& call, int operand) {
  return call.operands[static_cast<size_t>(operand)].data;
}

bool IsConstant(const HostCall& call, int operand) {
  return call.constant[static_cast<size_t>(operand)];
}

std::vector<TileChunk> ChunksOf(int64_t depth) {
  std::vector<TileChunk> chunks;
  AppendChunks(0, 0, depth, &chunks);
  return chunks;
}

// A convolution, image by image and group by group.
class WindowStep : public HostStep {
 public:
  WindowStep(const HostCall& call, const NpuWindow& window, std::unique_ptr<TileEngine> engine)
      : call_(call),
        w_(window),
        columns_(call.operation->shape.back() / window.groups),
        output_(call_),
        map_(window),
        multiplier_(std::move(engine), map_.chunks(), map_.positions(), map_.period(),
                    window.out_width) {
    for (int64_t group = 0; group < w_.groups; ++group) {
      weights_.emplace_back(map_.chunks(), columns_);
      weights_.back().Pack(DataOf(call_, w_.weights) + kWord * group * columns_,
                           call_.operation->words_pitch);
    }
  }

  void Run() override {
    const int64_t image_bytes = w_.height * w_.width * w_.data_pitch;
    multiplier_.Begin();
    for (int64_t image = 0; image < w_.batch; ++image) {
      map_.Fill(DataOf(call_, w_.data) + image * image_bytes);
      TileLeft left{map_.data(), map_.stride(), image * w_.out_height * w_.out_width};
      for (int64_t group = 0; group < w_.groups; ++group, left.data += w_.depth) {
        multiplier_.Multiply(left, weights_[static_cast<size_t>(group)].right(), group * columns_,
                             columns_, &output_);
      }
    }
    multiplier_.End();
  }

 private:
  const HostCall call_;
  const NpuWindow w_;
  const int64_t columns_;  // of a group
  TileOutput output_;
  TileMap map_;
  TileMultiplier multiplier_;
  std::vector<TileWords> weights_;  // by group
};

// A convolution by a window of one pixel as a product: all images are one map.
NpuProduct AsProduct(const NpuWindow& w, int64_t columns) {
  return {w.floats, w.data,  w.weights, w.data_pitch, w.batch * w.height * w.width,
          w.depth,  columns, {},        {},           {}};
}

class ProductStep : public HostStep {
 public:
  ProductStep(const HostCall& call, const NpuProduct& product, std::unique_ptr<TileEngine> engine)
      : call_(call),
        p_(product),
        output_(call_),
        multiplier_(std::move(engine), ChunksOf(product.depth), product.rows, product.rows,
                    product.rows) {
    std::vector<int64_t> at(p_.batch.size(), 0);
    do {
      const auto offset = [&](const std::vector<int64_t>& steps) {
        return std::inner_product(at.begin(), at.end(), steps.begin(), int64_t{0});
      };
      parts_.push_back({offset(p_.left_steps), PlaceOf(kWord * offset(p_.right_steps))});
    } while (Next(&at));
    if (IsConstant(call_, p_.right)) Pack();
  }

  void Run() override {
    if (!IsConstant(call_, p_.right)) Pack();
    multiplier_.Begin();
    TileLeft left{nullptr, p_.left_pitch, 0};
    for (const Part& part : parts_) {
      left.data = DataOf(call_, p_.left) + part.left;
      multiplier_.Multiply(left, words_[part.right].right(), 0, p_.columns, &output_);
      left.first_row += p_.rows;
    }
    multiplier_.End();
  }

 private:
  // One product of the batch.
  struct Part {
    int64_t left;  // bytes
    size_t right;  // in `words_`
  };

  // The packed right operand that begins so many bytes behind the first; made where it is new.
  size_t PlaceOf(int64_t offset) {
    const auto found = std::find(offsets_.begin(), offsets_.end(), offset);
    if (found != offsets_.end()) return static_cast<size_t>(found - offsets_.begin());
    offsets_.push_back(offset);
    words_.emplace_back(ChunksOf(p_.depth), p_.columns);
    return words_.size() - 1;
  }

  bool Next(std::vector<int64_t>* at) const {
    for (size_t axis = at->size(); axis-- > 0;) {
      if (++(*at)[axis] < p_.batch[axis]) return true;
      (*at)[axis] = 0;
    }
    return false;
  }

  void Pack() {
    for (size_t i = 0; i < words_.size(); ++i) {
      words_[i].Pack(DataOf(call_, p_.right) + offsets_[i], call_.operation->words_pitch);
    }
  }

  const HostCall call_;
  const NpuProduct p_;
  TileOutput output_;
  TileMultiplier multiplier_;
  std::vector<Part> parts_;
  std::vector<int64_t> offsets_;  // of the right operands, in bytes
  std::vector<TileWords> words_;
};

// Tiles know bytes: sizes of a left operand of bfloat16 in these.
NpuProduct InBytes(NpuProduct p) {
  if (!p.floats) return p;
  p.depth *= 2;
  p.left_pitch *= 2;
  for (int64_t& step : p.left_steps) step *= 2;
  return p;
}

NpuWindow InBytes(NpuWindow w) {
  if (!w.floats) return w;
  w.depth *= 2;
  w.data_pitch *= 2;
  return w;
}

}  // namespace

std::unique_ptr<HostStep> MakeTileStep(const HostCall& call, std::unique_ptr<TileEngine> engine) {
  const NpuOperator& operation = *call.operation;
  if (const auto* product = std::get_if<NpuProduct>(&operation.core)) {
    if (IsConstant(call, product->left)) return nullptr;  // nothing may be read behind it
    return std::make_unique<ProductStep>(call, InBytes(*product), std::move(engine));
  }
  const auto* window = std::get_if<NpuWindow>(&operation.core);
  if (window == nullptr || operation.kind == NpuKind::kDepthwise) return nullptr;
  if (IsTileMap(*window) && window->groups == 1 && !IsConstant(call, window->data)) {
    const NpuProduct product = InBytes(AsProduct(*window, operation.shape.back()));
    return std::make_unique<ProductStep>(call, product, std::move(engine));
  }
  return std::make_unique<WindowStep>(call, InBytes(*window), std::move(engine));
}

}  // namespace hetcomp
