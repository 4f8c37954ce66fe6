#include "opencl/gpu_slices.h"

#include <algorithm>
#include <cmath>

#include "cpu/cpu_program.h"

namespace hetcomp {
namespace {

long long Tiles(const Range& range) {
  return static_cast<long long>(range.row_end - range.row_begin) *
         (range.channel_end - range.channel_begin);
}

// Pieces of one step, in order; only the last one signals.
std::vector<Step> Pieces(const Step& step, const Task& task, double slice_us) {
  const int parts = static_cast<int>(std::ceil(step.predicted_us / slice_us));
  if (step.ticket != 0 || parts < 2) return {step};
  std::vector<Step> pieces;
  for (const Range& range : DivideRange(task, step.range, parts)) {
    Step piece = step;
    piece.range = range;
    piece.signal = false;
    piece.predicted_us = step.predicted_us * static_cast<double>(Tiles(range)) /
                         static_cast<double>(Tiles(step.range));
    pieces.push_back(piece);
  }
  pieces.back().signal = step.signal;
  return pieces;
}

}  // namespace

Table SliceGpuSteps(const Table& table, const Graph& graph, double slice_us) {
  Table sliced = table;
  sliced.gpu.clear();
  std::vector<int> last_piece = {0};  // of step k, counted from 1
  for (const Step& step : table.gpu) {
    const Task& task = graph.tasks[static_cast<size_t>(step.task)];
    for (const Step& piece : Pieces(step, task, slice_us)) sliced.gpu.push_back(piece);
    last_piece.push_back(static_cast<int>(sliced.gpu.size()));
  }
  for (Step& step : sliced.cpu) step.wait = last_piece[static_cast<size_t>(step.wait)];
  return sliced;
}

int CountOverSlice(const Table& sliced, double slice_us) {
  if (slice_us <= 0.0) return 0;
  const auto over = [slice_us](const Step& step) {
    return step.ticket != 0 || step.predicted_us <= 0.0 || step.predicted_us > slice_us;
  };
  return static_cast<int>(std::count_if(sliced.gpu.begin(), sliced.gpu.end(), over));
}

}  // namespace hetcomp
