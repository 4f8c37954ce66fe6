#include "npu/npu_tile_output.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace hetcomp {

void TileOutput::Write(int64_t row, int64_t first, int64_t count, const int32_t* sums) {
  if (requantise_.has_value()) {
    char* const out = call_.output + row * call_.operation->output_pitch + first;
    return Requantise(*requantise_, sums, first, count, BytesOf(row, first), out);
  }
  for (int64_t done = 0; done < count; done += kNpuLanes) {
    const int lanes = static_cast<int>(std::min<int64_t>(kNpuLanes, count - done));
    rows_.Write(row, first + done, lanes, sums + done);
  }
}

const char* TileOutput::BytesOf(int64_t row, int64_t first) {
  const NpuValue* const load = requantise_->load;
  if (load == nullptr) return nullptr;
  const std::vector<int64_t>& at = rows_.At(row);
  const int64_t place = std::inner_product(at.begin(), at.end(), load->steps.begin(), load->offset);
  return call_.operands[static_cast<size_t>(load->operand)].data + place + first;
}

}  // namespace hetcomp
