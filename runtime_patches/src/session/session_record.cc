// Session: what is kept of every inference, and shown by stats() and trace().
#include <mutex>

#include "base/clock.h"
#include "base/error.h"
#include "base/json_writer.h"
#include "opencl/gpu_slices.h"
#include "session/session.h"

namespace hetcomp {

void Session::Record() {
  Ready& ready = *ready_;
  if (ready.npu != nullptr) ready.npu->FillSpans(ready.times.origin_us, &ready.times.npu);
  FillGpuSpans(ready.table, ready.times, &ready.gpu_spans);
  const size_t steps = ready.gpu_spans.size();
  const bool chained = ready.lane != nullptr && steps > 1 && ready.lane->n_launches() == 1;
  ready.stats.Add(ready.times, ready.gpu_spans, chained);
  if (trace_ == nullptr) return;
  const Tier tier = ready.lane != nullptr ? tier_.tier : Tier::kCpu;
  trace_->Add(ready.table, tier, ready.times, ready.gpu_spans);
}

void Session::Mark(const std::string& text) {
  if (trace_ != nullptr) trace_->Mark(NowUs(), text);
}

std::string Session::StatsJson() {
  std::lock_guard<std::mutex> lock(mutex_);
  const StepStats& stats = ready_->stats;
  return JsonObject()
      .Text("plan", ready_->table.name)
      .Count("runs", runs_)
      .Count("fallbacks", fallbacks_)
      .Count("timeouts", timeouts_)
      .Count("walks", stats.walks())
      .Number("total_us", stats.total_us())
      .Number("cpu_wait_us", stats.cpu_wait_us())
      .Number("cpu_busy_share", stats.cpu_busy_share())
      .Number("gpu_busy_share", stats.gpu_busy_share())
      .Number("gpu_slice_us", options_.gpu_slice_us)
      .Count("gpu_steps_over_slice", CountOverSlice(ready_->table, options_.gpu_slice_us))
      .Number("longest_gpu_us", stats.longest_gpu_us())
      .Number("npu_busy_share", stats.npu_busy_share())
      .Raw("adaptation", AdaptationJson())
      .Raw("steps", stats.StepsJson(ready_->table, model_.graph))
      .Done();
}

std::string Session::TraceJson() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (trace_ == nullptr) ThrowInput("nothing is traced: open the model with trace = true");
  return trace_->Json(model_.graph);
}

}  // namespace hetcomp
