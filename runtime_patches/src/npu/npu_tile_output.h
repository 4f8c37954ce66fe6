// What becomes of the sums that tiles make.
#ifndef HETCOMP_NPU_TILE_OUTPUT_H_
#define HETCOMP_NPU_TILE_OUTPUT_H_

#include <cstdint>
#include <optional>

#include "npu/npu_requantise.h"
#include "npu/npu_rows.h"

namespace hetcomp {

// In one pass where it is a requantisation, else as the reference has it.
class TileOutput {
 public:
  // Borrows the call.
  explicit TileOutput(const HostCall& call)
      : call_(call), rows_(call), requantise_(MatchRequantise(call)) {}

  // Elements [first, first + count) of a row; up to 15 sums behind them are read.
  void Write(int64_t row, int64_t first, int64_t count, const int32_t* sums);

 private:
  // Of what is added to the row.
  const char* BytesOf(int64_t row, int64_t first);

  const HostCall& call_;
  NpuRows rows_;
  const std::optional<NpuRequantise> requantise_;
};

}  // namespace hetcomp

#endif  // HETCOMP_NPU_TILE_OUTPUT_H_
