// Session: changes of the step table while it runs, as the adapter says.
#include <algorithm>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/json_writer.h"
#include "base/keep.h"
#include "cpu/pinning.h"
#include "session/session.h"

namespace hetcomp {

// Call with mutex_ held (or from the constructor), after a table was installed.
void Session::StartAdapting() {
  const bool wanted =
      options_.adapt == AdaptMode::kOn ||
      (options_.adapt == AdaptMode::kAuto && ready_->table.name == model_.tables.front().name);
  if (!wanted || channel_ == nullptr || !HasPredictions(ready_->table)) return;
  size_t home = 0;
  for (const Table& table : model_.tables) {
    const bool is_home = table.name == ready_->table.name;
    if (is_home) home = ladder_.size();
    if (is_home || (table.stands_in && HasPredictions(table))) ladder_.push_back(&table);
  }
  if (ladder_.size() < 2) return;
  rungs_.resize(ladder_.size());
  rung_ = home;
  adapter_ = std::make_unique<Adapter>(ladder_, home);
}

// The table in use stays.
void Session::StopAdapting(const std::string& why) {
  if (adapter_ == nullptr) return;
  Mark("adaptation ends: " + why);
  adapter_.reset();
  ladder_.clear();
  if (device_->bad()) LeakRungs();
  rungs_.clear();
}

// Kernels of theirs may be running still.
void Session::LeakRungs() {
  for (std::unique_ptr<Ready>& rung : rungs_) KeepForEver(std::move(rung));
}

// Whether tables of the CPU use the memory that the others use, in which the weights are warm.
bool Session::SharesMemory() const {
  return adapter_ != nullptr && !device_->bad() && UsesFlags(tier_.tier);
}

// Installs the table that the adapter wants for the next inference.
void Session::FollowAdapter() {
  if (adapter_ == nullptr || adapter_->next() == rung_) return;
  const size_t next = adapter_->next();
  try {
    if (rungs_[next] == nullptr) {
      // Within an inference, which is to end in time.
      rungs_[next] = MakeReady(*ladder_[next], /*measured=*/false, options_.timeout_ms * 1e3);
    }
  } catch (const Error& error) {  // no device or no memory: the table in use goes on
    StopAdapting(error.what());
    return;
  }
  {
    // What is enqueued ahead is of the table before.
    const QueueTurn turn(device_->queue(), options_.priority);
    channel_->VoidGate();
  }
  std::swap(rungs_[rung_], ready_);
  std::swap(ready_, rungs_[next]);
  rung_ = next;
}

// Tells the adapter what the inference took.
void Session::TellAdapter() {
  if (adapter_ == nullptr) return;
  const size_t switches = adapter_->switches().size();
  const long long last = switches > 0 ? adapter_->switches().back().run : -1;
  adapter_->Add(Observed());
  if (adapter_->switches().empty() || adapter_->switches().back().run == last) return;
  const Switch& change = adapter_->switches().back();
  Mark(change.from + " -> " + change.to + ": " + change.reason);
}

Observation Session::Observed() const {
  const Table& table = ready_->table;
  Observation seen;
  const PretendedLoad* load = nullptr;
  for (const PretendedLoad& item : options_.pretended_load) {
    if (runs_ >= item.from_run) load = &item;
  }
  if (load != nullptr) {
    seen.total_us = ReplayUs(table, {load->cpu_factor, load->gpu_factor});
    seen.cpu_us = CpuBusyUs(table, {load->cpu_factor, load->gpu_factor});
    return seen;
  }
  seen.total_us = ready_->times.total_us;
  for (const StepSpan& span : ready_->times.cpu) seen.cpu_us += span.end_us - span.start_us;
  return seen;
}

std::string Session::AdaptationJson() const {
  JsonObject result;
  result.Flag("active", adapter_ != nullptr);
  const Slowdown slowdown = adapter_ != nullptr ? adapter_->slowdown() : Slowdown();
  result.Number("cpu_slowdown", slowdown.cpu).Number("gpu_slowdown", slowdown.gpu);
  result.Count("trials", adapter_ != nullptr ? adapter_->trials() : 0);
  std::vector<std::string> switches;
  if (adapter_ != nullptr) {
    for (const Switch& change : adapter_->switches()) {
      switches.push_back(JsonObject()
                             .Count("run", change.run)
                             .Text("from_plan", change.from)
                             .Text("to_plan", change.to)
                             .Text("reason", change.reason)
                             .Done());
    }
  }
  return result.Raw("switches", JsonList(switches)).Done();
}

}  // namespace hetcomp
