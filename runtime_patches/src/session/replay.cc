#include "session/replay.h"

#include <algorithm>
#include <cmath>

namespace hetcomp {
namespace {

constexpr double kLeastFactor = 0.5;
constexpr double kMostFactor = 64.0;
constexpr int kRounds = 12;
constexpr double kExplained = 0.95;  // of the time: the rest is chance

// A step's time on a processor that is `factor` times slower. Tickets go to whoever is faster: both
// take as long as it takes them together, of whom the CPU would do `share` as predicted.
double StepUs(const Step& step, double factor, const Slowdown& slowdown) {
  if (step.ticket == 0) return factor * step.predicted_us;
  const bool by_rows = step.ticket > 0;
  const int begin = by_rows ? step.range.row_begin : step.range.channel_begin;
  const int end = by_rows ? step.range.row_end : step.range.channel_end;
  const bool known = begin < step.cut && step.cut < end;
  const double share = known ? static_cast<double>(step.cut - begin) / (end - begin) : 0.5;
  return step.predicted_us / (share / slowdown.cpu + (1.0 - share) / slowdown.gpu);
}

// The factor with which the CPU's steps take `cpu_us`: at once where there are no tickets.
double CpuFactor(const Table& table, double cpu_us, double gpu_factor) {
  double factor = 1.0;
  for (int i = 0; i < kRounds; ++i) {
    const double seen = cpu_us / CpuBusyUs(table, {factor, gpu_factor});
    factor = std::clamp(factor * seen, kLeastFactor, kMostFactor);
  }
  return factor;
}

// One processor on its way through its steps.
struct Lane {
  const std::vector<Step>& steps;
  double factor;
  Slowdown slowdown;
  std::vector<double> ends_us;

  // Runs all steps that need not wait any longer; false if there were none.
  bool Advance(const std::vector<double>& other_ends_us) {
    const size_t before = ends_us.size();
    while (ends_us.size() < steps.size()) {
      const Step& step = steps[ends_us.size()];
      const size_t wait = static_cast<size_t>(step.wait);
      if (wait > other_ends_us.size()) break;
      const double own_us = ends_us.empty() ? 0.0 : ends_us.back();
      const double freed_us = wait > 0 ? other_ends_us[wait - 1] : 0.0;
      ends_us.push_back(std::max(own_us, freed_us) + StepUs(step, factor, slowdown));
    }
    return ends_us.size() > before;
  }
};

}  // namespace

bool HasPredictions(const Table& table) {
  const auto known = [](const Step& step) { return step.predicted_us > 0.0; };
  return std::all_of(table.cpu.begin(), table.cpu.end(), known) &&
         std::all_of(table.gpu.begin(), table.gpu.end(), known);
}

double PredictedUs(const std::vector<Step>& steps) {
  double sum_us = 0.0;
  for (const Step& step : steps) sum_us += step.predicted_us;
  return sum_us;
}

double CpuBusyUs(const Table& table, const Slowdown& slowdown) {
  double sum_us = 0.0;
  for (const Step& step : table.cpu) sum_us += StepUs(step, slowdown.cpu, slowdown);
  return sum_us;
}

double ReplayUs(const Table& table, const Slowdown& slowdown) {
  Lane cpu{table.cpu, slowdown.cpu, slowdown, {}};
  Lane gpu{table.gpu, slowdown.gpu, slowdown, {}};
  for (bool moved = true; moved;) {
    moved = cpu.Advance(gpu.ends_us);
    moved = gpu.Advance(cpu.ends_us) || moved;
  }
  const double cpu_us = cpu.ends_us.empty() ? 0.0 : cpu.ends_us.back();
  const double gpu_us = gpu.ends_us.empty() ? 0.0 : gpu.ends_us.back();
  return std::max(cpu_us, gpu_us);
}

Slowdown Explain(const Table& table, double total_us, double cpu_us, const Slowdown& before) {
  Slowdown found = before;
  if (PredictedUs(table.cpu) > 0.0) found.cpu = CpuFactor(table, cpu_us, before.gpu);
  if (table.gpu.empty()) return found;
  if (table.cpu.empty()) {
    found.gpu = std::clamp(total_us / PredictedUs(table.gpu), kLeastFactor, kMostFactor);
    return found;
  }
  const auto explains = [&](double gpu, double part) {
    return ReplayUs(table, {found.cpu, gpu}) >= part * total_us;
  };
  // The least factor that will do. Where the CPU explains nearly all, the GPU need not be slow;
  // that it is faster than predicted takes all of the time to show, or each look would find it
  // faster than the last one where tickets let either processor explain the same.
  const bool slower = !explains(1.0, kExplained);
  if (!slower && (!explains(1.0, 1.0) || explains(kLeastFactor, 1.0))) return {found.cpu, 1.0};
  double low = slower ? 1.0 : kLeastFactor;
  double high = slower ? kMostFactor : 1.0;
  for (int i = 0; i < kRounds; ++i) {
    const double middle = std::sqrt(low * high);
    (explains(middle, slower ? kExplained : 1.0) ? high : low) = middle;
  }
  found.gpu = high;
  return found;
}

}  // namespace hetcomp
