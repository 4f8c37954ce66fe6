// What mostly becomes of sums of products, in one pass: back to bytes, perhaps after a sum with
// another tensor. The same bits as NpuEvaluator's, which takes a pass per operation.
#ifndef HETCOMP_NPU_REQUANTISE_H_
#define HETCOMP_NPU_REQUANTISE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "npu/npu_host_kernel.h"

namespace hetcomp {

// `max(x, low)`, `min(x, high)`, `x + up`, `x - down`: to the nearest of a byte's values.
struct NpuRounding {
  float low = 0.0f;
  float high = 0.0f;
  float up = 0.0f;
  float down = 0.0f;
};

// (sum + bias) * scale, rounded to a byte; then perhaps `byte * factor + addend`, rounded again.
struct NpuRequantise {
  enum class Addend { kNone, kColumns, kUnsigned, kSigned };

  std::vector<int32_t> bias;  // by column
  std::vector<float> scale;   // by column
  NpuRounding first;
  Addend addend = Addend::kNone;
  float factor = 0.0f;
  NpuRounding second;
  std::vector<float> columns;      // the addend, by column
  const NpuValue* load = nullptr;  // the addend is one of these bytes, times and plus
  float load_factor = 0.0f;
  float load_offset = 0.0f;
};

// Nothing where the values of the call's operator are others. Borrows the call.
std::optional<NpuRequantise> MatchRequantise(const HostCall& call);

// Elements [first, first + count) of a row; `bytes` are the addend's from the first one on, of
// which up to 15 too many are read, as of `sums`.
void Requantise(const NpuRequantise& how, const int32_t* sums, int64_t first, int64_t count,
                const char* bytes, char* out);

}  // namespace hetcomp

#endif  // HETCOMP_NPU_REQUANTISE_H_
