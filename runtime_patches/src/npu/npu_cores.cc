#include "npu/npu_cores.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.h"

namespace hetcomp {
namespace {

constexpr int64_t kWord = 4;

const uint8_t* Unsigned(const NpuArray& array) {
  return reinterpret_cast<const uint8_t*>(array.data);
}
const int8_t* Signed(const NpuArray& array) { return reinterpret_cast<const int8_t*>(array.data); }

// Adds the products of `depth` bytes with `count` columns of words, whose rows are `pitch` apart.
void AddWords(const uint8_t* left, const int8_t* words, int64_t depth, int64_t pitch, int count,
              int32_t* sums) {
  for (int64_t k = 0; k < depth; k += kWord) {
    const int32_t a = left[k], b = left[k + 1], c = left[k + 2], d = left[k + 3];
    const int8_t* const word = words + k * pitch;
    for (int j = 0; j < count; ++j) {
      const int8_t* const w = word + kWord * j;
      sums[j] += a * w[0] + b * w[1] + c * w[2] + d * w[3];
    }
  }
}

class WindowCore : public NpuCore {
 public:
  WindowCore(const NpuWindow& window, const NpuOperator& operation)
      : w_(window),
        depthwise_(operation.kind == NpuKind::kDepthwise),
        channels_(operation.shape.back()),
        pitch_(operation.words_pitch) {
    const int64_t longest = depthwise_ ? channels_ : window.groups * window.depth;
    padding_.assign(static_cast<size_t>(longest), static_cast<uint8_t>(window.pad_value));
  }

  void Accumulate(const std::vector<NpuArray>& operands, const std::vector<int64_t>& at, int count,
                  NpuLanes* accumulators) override {
    const uint8_t* const data = Unsigned(operands[static_cast<size_t>(w_.data)]);
    const int8_t* const weights = Signed(operands[static_cast<size_t>(w_.weights)]);
    std::fill(accumulators->i, accumulators->i + count, 0);
    for (int64_t kh = 0; kh < w_.kernel_h; ++kh) {
      for (int64_t kw = 0; kw < w_.kernel_w; ++kw) {
        const uint8_t* const pixel = PixelAt(data, at, kh, kw);
        const int64_t tap = kh * w_.kernel_w + kw;
        if (depthwise_) {
          AddTap(pixel + at[3], weights + tap * channels_ + at[3], count, accumulators->i);
        } else {
          AddGroups(pixel, weights + tap * w_.depth * pitch_, at[3], count, accumulators->i);
        }
      }
    }
  }

 private:
  const uint8_t* PixelAt(const uint8_t* data, const std::vector<int64_t>& at, int64_t kh,
                         int64_t kw) const {
    const int64_t row = at[1] * w_.stride_h - w_.pad_top + kh * w_.dilation_h;
    const int64_t column = at[2] * w_.stride_w - w_.pad_left + kw * w_.dilation_w;
    const bool inside = row >= 0 && row < w_.height && column >= 0 && column < w_.width;
    if (!inside) return padding_.data();
    return data + ((at[0] * w_.height + row) * w_.width + column) * w_.data_pitch;
  }

  static void AddTap(const uint8_t* pixel, const int8_t* weights, int count, int32_t* sums) {
    for (int j = 0; j < count; ++j) sums[j] += static_cast<int32_t>(pixel[j]) * weights[j];
  }

  // A run of output channels may reach over several groups.
  void AddGroups(const uint8_t* pixel, const int8_t* words, int64_t first, int count,
                 int32_t* sums) const {
    const int64_t group_size = channels_ / w_.groups;
    for (int done = 0; done < count;) {
      const int64_t channel = first + done;
      const int64_t group = channel / group_size;
      const int part =
          static_cast<int>(std::min<int64_t>(count - done, (group + 1) * group_size - channel));
      AddWords(pixel + group * w_.depth, words + kWord * channel, w_.depth, pitch_, part,
               sums + done);
      done += part;
    }
  }

  const NpuWindow w_;
  const bool depthwise_;
  const int64_t channels_;
  const int64_t pitch_;
  std::vector<uint8_t> padding_;
};

class ProductCore : public NpuCore {
 public:
  ProductCore(const NpuProduct& product, const NpuOperator& operation)
      : p_(product), shape_(operation.shape), pitch_(operation.words_pitch) {}

  void Accumulate(const std::vector<NpuArray>& operands, const std::vector<int64_t>& at, int count,
                  NpuLanes* accumulators) override {
    const NpuPlaces places = PlacesOf(p_, shape_, at);
    std::fill(accumulators->i, accumulators->i + count, 0);
    AddWords(Unsigned(operands[static_cast<size_t>(p_.left)]) + places.left,
             Signed(operands[static_cast<size_t>(p_.right)]) + kWord * places.right, p_.depth,
             pitch_, count, accumulators->i);
  }

 private:
  const NpuProduct p_;
  const std::vector<int64_t> shape_;
  const int64_t pitch_;
};

class ReductionCore : public NpuCore {
 public:
  ReductionCore(const NpuReduction& reduction, size_t axes)
      : r_(reduction), axis_(static_cast<int>(axes) - 1), terms_(reduction.values) {}

  void Accumulate(const std::vector<NpuArray>& operands, const std::vector<int64_t>& at, int count,
                  NpuLanes* accumulators) override {
    const bool floats = r_.type == NpuType::kFloat32;
    for (int k = 0; k < count; ++k) {
      if (floats) accumulators->f[k] = static_cast<float>(r_.init);
      if (!floats) accumulators->i[k] = static_cast<int32_t>(r_.init);
    }
    std::vector<int64_t> place = at;
    place.resize(at.size() + r_.extents.size(), 0);
    do {
      const NpuLanes& term = terms_.Compute(operands, place, axis_, count, nullptr);
      if (floats) {
        CombineFloats(term.f, count, accumulators->f);
      } else {
        CombineInts(term.i, count, accumulators->i);
      }
    } while (Next(at.size(), &place));
  }

 private:
  // The next place on the axes that are reduced over; false behind the last.
  bool Next(size_t first, std::vector<int64_t>* place) const {
    for (size_t i = r_.extents.size(); i-- > 0;) {
      if (++(*place)[first + i] < r_.extents[i]) return true;
      (*place)[first + i] = 0;
    }
    return false;
  }

  // Floats are not summed: the order would count.
  void CombineFloats(const float* term, int count, float* out) const {
    const bool max = r_.combiner == NpuCombiner::kMax;
    for (int k = 0; k < count; ++k) {
      out[k] = (max ? out[k] > term[k] : out[k] < term[k]) ? out[k] : term[k];
    }
  }

  void CombineInts(const int32_t* term, int count, int32_t* out) const {
    for (int k = 0; k < count; ++k) {
      const uint32_t a = static_cast<uint32_t>(out[k]), b = static_cast<uint32_t>(term[k]);
      switch (r_.combiner) {
        case NpuCombiner::kSum:
          out[k] = static_cast<int32_t>(a + b);
          break;
        case NpuCombiner::kProd:
          out[k] = static_cast<int32_t>(a * b);
          break;
        case NpuCombiner::kMax:
          out[k] = std::max(out[k], term[k]);
          break;
        case NpuCombiner::kMin:
          out[k] = std::min(out[k], term[k]);
          break;
      }
    }
  }

  const NpuReduction& r_;
  const int axis_;
  NpuEvaluator terms_;
};

void Require(bool holds, const char* what) {
  if (!holds) {
    throw Error(ErrorKind::kDevice, std::string("NPU operator does not fit its tensors: ") + what);
  }
}

int64_t Product(const std::vector<int64_t>& extents) {
  return std::accumulate(extents.begin(), extents.end(), int64_t{1}, std::multiplies<int64_t>());
}

int64_t ItemBytes(bool floats) { return floats ? 2 : 1; }

void CheckWindow(const NpuOperator& operation, const NpuWindow& w,
                 const std::vector<size_t>& bytes) {
  const std::vector<int64_t>& shape = operation.shape;
  const bool depthwise = operation.kind == NpuKind::kDepthwise;
  Require(shape.size() == 4 && shape[0] == w.batch && shape[1] == w.out_height &&
              shape[2] == w.out_width,
          "its output is not that of the window");
  Require(w.groups > 0 && w.depth > 0 && shape[3] % w.groups == 0, "groups");
  Require(w.height > 0 && w.width > 0 && w.batch > 0, "the map is empty");
  Require(w.kernel_h > 0 && w.kernel_w > 0, "the window is empty");
  Require(!(depthwise && w.floats), "floats channel by channel");
  const int64_t item = ItemBytes(w.floats), word = kWord / item;
  Require(depthwise ? w.groups == shape[3] && w.depth == 1 : w.depth % word == 0, "depth");
  const int64_t channels = w.groups * w.depth;
  const int64_t data = (w.batch * w.height * w.width - 1) * w.data_pitch + channels;
  Require(w.data_pitch >= channels, "data");
  Require(static_cast<int64_t>(bytes[static_cast<size_t>(w.data)]) >= data * item, "data");
  Require(operation.words_pitch >= shape[3], "columns");
  const int64_t rows = w.kernel_h * w.kernel_w * w.depth / (depthwise ? 1 : word);
  const int64_t weights = ((rows - 1) * operation.words_pitch + shape[3]) * (depthwise ? 1 : kWord);
  Require(static_cast<int64_t>(bytes[static_cast<size_t>(w.weights)]) >= weights, "weights");
}

void CheckProduct(const NpuOperator& operation, const NpuProduct& p,
                  const std::vector<size_t>& bytes) {
  const size_t axes = p.batch.size();
  Require(p.left_steps.size() == axes && p.right_steps.size() == axes, "batch");
  Require(operation.shape.size() > axes && operation.shape.back() == p.columns, "columns");
  Require(operation.words_pitch >= p.columns, "columns");
  Require(std::equal(p.batch.begin(), p.batch.end(), operation.shape.begin()), "batch");
  Require(Product(operation.shape) == Product(p.batch) * p.rows * p.columns, "rows");
  const int64_t item = ItemBytes(p.floats), word = kWord / item;
  Require(p.depth > 0 && p.depth % word == 0 && p.left_pitch >= p.depth && p.rows > 0, "depth");
  int64_t left = (p.rows - 1) * p.left_pitch + p.depth;
  int64_t right = (p.depth / word - 1) * operation.words_pitch + p.columns;
  for (size_t axis = 0; axis < axes; ++axis) {
    Require(p.batch[axis] > 0 && p.left_steps[axis] >= 0 && p.right_steps[axis] >= 0, "batch");
    left += (p.batch[axis] - 1) * p.left_steps[axis];
    right += (p.batch[axis] - 1) * p.right_steps[axis];
  }
  Require(static_cast<int64_t>(bytes[static_cast<size_t>(p.left)]) >= left * item, "left operand");
  Require(static_cast<int64_t>(bytes[static_cast<size_t>(p.right)]) >= kWord * right,
          "right operand");
}

}  // namespace

NpuPlaces PlacesOf(const NpuProduct& p, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& at) {
  NpuPlaces places{0, at.back()};
  int64_t row = 0;
  for (size_t axis = 0; axis + 1 < shape.size(); ++axis) {
    if (axis < p.batch.size()) {
      places.left += at[axis] * p.left_steps[axis];
      places.right += at[axis] * p.right_steps[axis];
    } else {
      row = row * shape[axis] + at[axis];
    }
  }
  places.left += row * p.left_pitch;
  return places;
}

std::unique_ptr<NpuCore> MakeNpuCore(const NpuOperator& operation) {
  if (MultipliesFloats(operation)) return MakeFloatCore(operation);
  if (const auto* window = std::get_if<NpuWindow>(&operation.core)) {
    return std::make_unique<WindowCore>(*window, operation);
  }
  if (const auto* product = std::get_if<NpuProduct>(&operation.core)) {
    return std::make_unique<ProductCore>(*product, operation);
  }
  if (const auto* reduction = std::get_if<NpuReduction>(&operation.core)) {
    return std::make_unique<ReductionCore>(*reduction, operation.shape.size());
  }
  return nullptr;
}

void CheckNpuCore(const NpuOperator& operation, const std::vector<size_t>& operand_bytes) {
  Require(!operation.shape.empty() && Product(operation.shape) > 0, "its output is empty");
  if (const auto* window = std::get_if<NpuWindow>(&operation.core)) {
    CheckWindow(operation, *window, operand_bytes);
  } else if (const auto* product = std::get_if<NpuProduct>(&operation.core)) {
    CheckProduct(operation, *product, operand_bytes);
  }
}

}  // namespace hetcomp
