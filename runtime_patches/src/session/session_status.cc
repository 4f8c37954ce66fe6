// Session: what it tells of itself.
#include <string>
#include <vector>

#include "base/json_writer.h"
#include "session/session.h"

namespace hetcomp {

std::string Session::StatusJson() {
  std::lock_guard<std::mutex> lock(mutex_);
  const bool gpu = ready_->lane != nullptr;
  JsonObject status;
  status.Text("tier", TierName(gpu ? tier_.tier : Tier::kCpu)).Text("plan", ready_->table.name);
  status.Text("memory", gpu ? MemoryName(tier_.memory) : "");
  JsonObject refused;
  for (const RefusedTier& refusal : tier_.refused)
    refused.Text(TierName(refusal.tier), refusal.why);
  status.Raw("refused_tiers", refused.Done());
  status.Text("requested_plan", requested_plan_).Text("why_no_gpu", why_no_gpu_);
  status.Text("device", device_ != nullptr ? device_->choice().name : "");
  status.Text("device_version", device_ != nullptr ? device_->choice().version : "");
  status.Text("platform", device_ != nullptr ? device_->choice().platform : "");
  status.Flag("device_is_cpu", device_ != nullptr && device_->choice().is_cpu);
  status.Flag("device_bad", gave_up_ || (device_ != nullptr && device_->bad()));
  status.Text("atomics", device_ != nullptr ? device_->probe().spelling->name : "");
  status.Number("poll_ns", device_ != nullptr ? device_->probe().poll_round_us / 1.024 : 0.0);
  status.Text("cpu_version", model_.cpu_version);
  status.Flag("gpu_pinned", device_ != nullptr && device_->pinned());
  status.Flag("cpu_pinned", RunCore() >= 0);
  status.Count("cpu_core", cores_.cpu).Count("gpu_core", cores_.gpu);
  std::vector<std::string> team;
  for (int core : affinity_) team.push_back(std::to_string(core));
  status.Raw("cores", JsonList(team));
  status.Count("threads", options_.threads)
      .Count("priority", options_.priority)
      .Number("timeout_ms", options_.timeout_ms);
  AddNpuStatus(&status);
  status.Count("cpu_steps", static_cast<long long>(ready_->table.cpu.size()));
  status.Count("gpu_steps", static_cast<long long>(ready_->table.gpu.size()));
  status.Count("gpu_launches", gpu ? static_cast<long long>(ready_->lane->n_launches()) : 0);
  status.Count("arena_bytes", static_cast<long long>(ready_->table.arena_bytes));
  status.Count("runs", runs_).Count("fallbacks", fallbacks_).Count("timeouts", timeouts_);
  status.Count("ahead_used", ahead_.used()).Count("ahead_voided", ahead_.voided());
  status.Number("open_ms", open_ms_).Number("warmup_ms", warmup_ms_);
  status.Number("build_ms", device_ != nullptr ? device_->build_ms() : 0.0);
  status.Text("program_cache", device_ != nullptr ? device_->program_cache(tier_.memory) : "off");
  status.Number("first_run_ms", first_run_ms_);
  status.Number("warm_run_ms", runs_ > 1 ? later_runs_ms_ / static_cast<double>(runs_ - 1) : 0.0);
  return status.Done();
}

}  // namespace hetcomp
