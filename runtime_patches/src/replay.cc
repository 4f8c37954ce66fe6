#include "replay.h"

#include <algorithm>
#include <cmath>

namespace hetcomp {
namespace {

constexpr double kLeastFactor = 0.5;
constexpr double kMostFactor = 64.0;
constexpr int kHalvings = 12;
constexpr double kExplained = 0.95;  // of the time: the rest is chance

// One processor on its way through its steps.
struct Lane {
  const std::vector<Step>& steps;
  double factor;
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
      ends_us.push_back(std::max(own_us, freed_us) + factor * step.predicted_us);
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

double ReplayUs(const Table& table, const Slowdown& slowdown) {
  Lane cpu{table.cpu, slowdown.cpu, {}};
  Lane gpu{table.gpu, slowdown.gpu, {}};
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
  const double predicted_us = PredictedUs(table.cpu);
  if (predicted_us > 0.0) {
    found.cpu = std::clamp(cpu_us / predicted_us, kLeastFactor, kMostFactor);
  }
  if (table.gpu.empty()) return found;
  if (table.cpu.empty()) {
    found.gpu = std::clamp(total_us / PredictedUs(table.gpu), kLeastFactor, kMostFactor);
    return found;
  }
  // The least factor that will do: where the CPU explains nearly all, the GPU may not be slow.
  const auto explains = [&](double gpu) {
    return ReplayUs(table, {found.cpu, gpu}) >= kExplained * total_us;
  };
  double low = explains(1.0) ? kLeastFactor : 1.0;
  double high = explains(1.0) ? 1.0 : kMostFactor;
  if (explains(low)) return {found.cpu, 1.0};
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = std::sqrt(low * high);
    (explains(middle) ? high : low) = middle;
  }
  found.gpu = high;
  return found;
}

}  // namespace hetcomp
