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

// Time of a part of a step.
double PredictedUs(const Step& step, const Range& part) {
  return step.predicted_us * static_cast<double>(Tiles(part)) /
         static_cast<double>(Tiles(step.range));
}

// As few parts as keep to the limit. Parts are of whole tiles, so that it may take up to twice as
// many as their times alone would ask for.
std::vector<Range> Divide(const Step& step, const Task& task, double slice_us) {
  const double most = static_cast<double>(Tiles(step.range));
  const int least = static_cast<int>(std::min(most, std::ceil(step.predicted_us / slice_us)));
  const auto too_long = [&](const Range& part) { return PredictedUs(step, part) > slice_us; };
  std::vector<Range> ranges;
  for (int parts = least; parts <= 2 * least; ++parts) {
    ranges = DivideRange(task, step.range, parts);
    if (std::none_of(ranges.begin(), ranges.end(), too_long)) break;
  }
  return ranges;
}

// Pieces of one step, in order; only the last one signals.
std::vector<Step> Pieces(const Step& step, const Task& task, double slice_us) {
  if (step.ticket != 0 || step.predicted_us <= slice_us) return {step};
  std::vector<Step> pieces;
  for (const Range& range : Divide(step, task, slice_us)) {
    Step piece = step;
    piece.range = range;
    piece.signal = false;
    piece.predicted_us = PredictedUs(step, range);
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
