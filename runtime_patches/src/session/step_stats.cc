#include "session/step_stats.h"

#include <algorithm>

#include "base/json_writer.h"

namespace hetcomp {
namespace {

double BusyUs(const std::vector<StepSpan>& spans) {
  double busy_us = 0.0;
  for (const StepSpan& span : spans) busy_us += span.end_us - span.start_us;
  return busy_us;
}

double LongestUs(const std::vector<StepSpan>& launches) {
  double longest_us = 0.0;
  for (const StepSpan& span : launches)
    longest_us = std::max(longest_us, span.end_us - span.start_us);
  return longest_us;
}

}  // namespace

StepStats::StepStats(const Table& table)
    : cpu_(table.cpu.size()), gpu_(table.gpu.size()), npu_(table.npu.size()) {}

void StepStats::Add(const WalkTimes& times, const std::vector<StepSpan>& gpu, bool chained) {
  const auto add = [](const StepSpan& span, StepAverage* average) {
    average->time_us.Add(span.end_us - span.start_us);
    average->wait_us.Add(span.wait_us);
  };
  for (size_t i = 0; i < cpu_.size(); ++i) add(times.cpu[i], &cpu_[i]);
  for (size_t i = 0; i < gpu_.size(); ++i) {
    if (times.gpu_watched[i]) add(gpu[i], &gpu_[i]);
  }
  for (size_t i = 0; i < npu_.size(); ++i) {
    if (times.npu[i].end_us > 0.0) add(times.npu[i], &npu_[i]);
  }
  const double total_us = times.total_us > 0.0 ? times.total_us : 1.0;
  const double cpu_us = BusyUs(times.cpu);
  total_us_.Add(times.total_us);
  cpu_busy_.Add(cpu_us / total_us);
  gpu_busy_.Add(BusyUs(gpu) / total_us);
  longest_gpu_us_.Add(chained ? gpu.back().end_us - gpu.front().start_us : LongestUs(gpu));
  npu_busy_.Add(BusyUs(times.npu) / total_us);
  cpu_wait_us_.Add(times.total_us - cpu_us);
}

std::string StepStats::StepsJson(const Table& table, const Graph& graph) const {
  std::vector<std::string> items;
  const auto add = [&](const char* processor, const Step& step, const StepAverage& average) {
    items.push_back(JsonObject()
                        .Text("task", StepName(graph, step))
                        .Text("processor", processor)
                        .Number("predicted_us", step.predicted_us)
                        .Number("mean_us", average.time_us.value())
                        .Number("wait_us", average.wait_us.value())
                        .Count("count", average.time_us.count())
                        .Done());
  };
  for (size_t i = 0; i < cpu_.size(); ++i) add("cpu", table.cpu[i], cpu_[i]);
  for (size_t i = 0; i < gpu_.size(); ++i) add("gpu", table.gpu[i], gpu_[i]);
  for (size_t i = 0; i < npu_.size(); ++i) {
    Step first;
    first.task = table.npu[i].tasks.front();
    add("npu", first, npu_[i]);
  }
  return JsonList(items);
}

}  // namespace hetcomp
