#include "session/adapter.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace hetcomp {
namespace {

// Inferences that make a judgement, and how long they take together at least: other work comes and
// goes in time slices of a few milliseconds.
constexpr size_t kRecent = 5;
constexpr double kRecentUs = 40e3;
constexpr size_t kTrial = 2;
constexpr size_t kLongestTrial = 12;
constexpr double kScatter = 1.5;  // two that differ so much want a third
constexpr double kTrialUs = 24e3;

constexpr double kSlower = 1.25;     // than at its best: worth a look, a pause after one in vain
constexpr double kMuchSlower = 1.6;  // than at the last look: worth one soon after it
constexpr double kHopeless = 1.6;    // of the best so far: ends a trial at once
constexpr double kHopelessProbe = 1.3;
constexpr double kRecovering = 0.75;  // of the home table's time at the last probe: look closer
constexpr double kWorthwhile = 0.95;  // of the settled table's time: pays for changing over
constexpr double kHomeBonus = 0.97;   // among equals the home table

constexpr int kShortPause = 16;
constexpr int kPause = 16;
constexpr int kLongestPause = 256;
constexpr double kProbeBudget = 0.07;  // part of the time that may go into trying the home table
constexpr double kChangeCost = 0.2;    // of an inference: caches are cold after a change
constexpr int kLeastProbe = 8;
constexpr int kMostProbe = 16;
constexpr int kMostProbeFactor = 8;
constexpr int kSoon = 128;  // inferences: leaving home again so soon, coming was a mistake
constexpr size_t kLikely = 2;
constexpr size_t kKeptSwitches = 64;

std::string Milliseconds(double time_us) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f ms", time_us * 1e-3);
  return text;
}

std::string Factors(const Slowdown& slowdown) {
  char text[64];
  std::snprintf(text, sizeof(text), "cpu %.2fx, gpu %.2fx of predicted times", slowdown.cpu,
                slowdown.gpu);
  return text;
}

bool OneProcessor(const Table& table) { return table.cpu.empty() || table.gpu.empty(); }

}  // namespace

double Window::sum_us() const {
  double sum_us = 0.0;
  for (const Observation& seen : seen_) sum_us += seen.total_us;
  return sum_us;
}

bool Window::Scatters() const {
  const auto faster = [](const Observation& one, const Observation& other) {
    return one.total_us < other.total_us;
  };
  const auto [least, most] = std::minmax_element(seen_.begin(), seen_.end(), faster);
  return most->total_us > kScatter * least->total_us;
}

Observation Window::Typical() const {
  Observation sum;
  const Observation* slowest = nullptr;
  for (const Observation& seen : seen_) {
    sum.total_us += seen.total_us;
    sum.cpu_us += seen.cpu_us;
    if (slowest == nullptr || seen.total_us > slowest->total_us) slowest = &seen;
  }
  double count = static_cast<double>(seen_.size());
  if (seen_.size() > kTrial) {
    sum.total_us -= slowest->total_us;
    sum.cpu_us -= slowest->cpu_us;
    count -= 1.0;
  }
  return {sum.total_us / count, sum.cpu_us / count};
}

Adapter::Adapter(std::vector<const Table*> tables, size_t home)
    : tables_(std::move(tables)),
      home_(home),
      current_(home),
      settled_(home),
      level_us_(ReplayUs(*tables_[home], {})),
      best_us_(level_us_),
      next_pause_(kPause) {}

void Adapter::Add(const Observation& seen) {
  ++runs_;
  switch (mode_) {
    case Mode::kSteady:
      return AddSteady(seen);
    case Mode::kLooking:
      return AddLook(seen);
    case Mode::kTrying:
      return AddTrial(seen);
  }
}

Slowdown Adapter::slowdown() const {
  if (recent_.count() == 0) return slowdown_;
  const Observation typical = recent_.Typical();
  return Explain(*tables_[settled_], typical.total_us, typical.cpu_us, slowdown_);
}

void Adapter::AddSteady(const Observation& seen) {
  if (pause_ > 0) --pause_;
  recent_.Add(seen);
  while (recent_.count() > kRecent && recent_.sum_us() >= kRecentUs + seen.total_us) {
    recent_.DropFirst();
  }
  const bool judged = recent_.count() >= kRecent && recent_.sum_us() >= kRecentUs;
  const double typical_us = recent_.Typical().total_us;
  if (judged && IsSlower(typical_us)) {
    mode_ = Mode::kLooking;
    window_.Clear();
    return;
  }
  if (judged) {
    level_us_ = std::min(level_us_, typical_us);
    best_us_ = std::min(best_us_, typical_us);
  }
  if (settled_ == home_ || --until_probe_ > 0) return;
  probing_ = true;
  Try({home_}, typical_us);
}

// The recent inferences were partly as fast as before: what it takes now, only new ones tell.
void Adapter::AddLook(const Observation& seen) {
  window_.Add(seen);
  if (window_.count() < kTrial || window_.sum_us() < kTrialUs) return;
  const Observation typical = window_.Typical();
  recent_ = window_;
  if (typical.total_us <= kSlower * (pause_ == 0 ? best_us_ : level_us_)) {
    mode_ = Mode::kSteady;
    return;
  }
  slowdown_ = Explain(*tables_[settled_], typical.total_us, typical.cpu_us, slowdown_);
  probing_ = false;
  Try(Likely(), typical.total_us);
}

bool Adapter::IsSlower(double typical_us) const {
  if (pause_ == 0) return typical_us > kSlower * best_us_;
  return typical_us > kMuchSlower * level_us_ && pause_ <= next_pause_ - kShortPause;
}

// The best by prediction, each processor by itself, since of the one not in use little is known,
// and the home table.
std::vector<size_t> Adapter::Likely() const {
  std::vector<std::pair<double, size_t>> ranked;
  for (size_t i = 0; i < tables_.size(); ++i) {
    if (i != settled_) ranked.push_back({ReplayUs(*tables_[i], slowdown_), i});
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<size_t> likely;
  for (size_t place = 0; place < ranked.size(); ++place) {
    const size_t table = ranked[place].second;
    if (place < kLikely || table == home_ || OneProcessor(*tables_[table])) likely.push_back(table);
  }
  return likely;
}

void Adapter::Try(const std::vector<size_t>& tables, double settled_us) {
  tried_us_.assign(tables_.size(), 0.0);
  tried_us_[settled_] = settled_us;
  to_try_.assign(tables.begin(), tables.end());
  TryNext();
}

void Adapter::TryNext() {
  if (to_try_.empty()) {
    Settle();
    return;
  }
  mode_ = Mode::kTrying;
  current_ = to_try_.front();
  to_try_.pop_front();
  cold_us_ = 0.0;
  window_.Clear();
  ++trials_;
}

// One slow inference may be chance, two in a row are hopeless; but the home table comes round
// again.
void Adapter::AddTrial(const Observation& seen) {
  const double best_us = BestTriedUs();
  const bool first = cold_us_ == 0.0;
  const bool vain = probing_ && first && seen.total_us > kHopelessProbe * best_us &&
                    seen.total_us > kRecovering * probed_us_;
  if (first && probing_) probed_us_ = seen.total_us;
  if (first) {
    cold_us_ = seen.total_us;
    if (!vain) return;
  }
  window_.Add(seen);
  const bool hopeless = std::min(cold_us_, window_.Typical().total_us) > kHopeless * best_us;
  const size_t least = window_.Scatters() ? kTrial + 1 : kTrial;
  const bool enough = window_.count() >= least && window_.sum_us() >= kTrialUs;
  if (!vain && !hopeless && !enough && window_.count() < kLongestTrial) return;
  tried_us_[current_] = window_.Typical().total_us;
  TryNext();
}

double Adapter::BestTriedUs() const {
  double best_us = tried_us_[settled_];
  for (double time_us : tried_us_) {
    if (time_us > 0.0) best_us = std::min(best_us, time_us);
  }
  return best_us;
}

void Adapter::Settle() {
  size_t best = settled_;
  double best_us = kWorthwhile * tried_us_[settled_];
  for (size_t i = 0; i < tables_.size(); ++i) {
    const double time_us = (i == home_ ? kHomeBonus : 1.0) * tried_us_[i];
    if (i == settled_ || tried_us_[i] == 0.0 || time_us >= best_us) continue;
    best = i;
    best_us = time_us;
  }
  mode_ = Mode::kSteady;
  const bool stays = best == settled_;
  if (!stays) SwitchTo(best);
  current_ = settled_;
  until_probe_ = ProbeInterval();
  if (stays && probing_) return;
  level_us_ = tried_us_[settled_];
  if (stays) {
    next_pause_ = std::min(2 * next_pause_, kLongestPause);
    pause_ = next_pause_;
  } else {
    best_us_ = level_us_;
  }
  recent_.Clear();
}

void Adapter::SwitchTo(size_t table) {
  const std::string reason = Factors(slowdown_) + "; " + tables_[settled_]->name + " took " +
                             Milliseconds(tried_us_[settled_]) + ", " + tables_[table]->name + " " +
                             Milliseconds(tried_us_[table]);
  if (switches_.size() == kKeptSwitches) switches_.pop_front();
  switches_.push_back({runs_, tables_[settled_]->name, tables_[table]->name, reason});
  if (table == home_) {
    came_home_ = runs_;
  } else if (settled_ == home_) {
    const bool mistaken = came_home_ > 0 && runs_ - came_home_ < kSoon;
    probe_factor_ = mistaken ? std::min(2 * probe_factor_, kMostProbeFactor) : 1;
  }
  settled_ = table;
  pause_ = 0;
  next_pause_ = kPause;
}

int Adapter::ProbeInterval() const {
  const double home_us = tried_us_[home_] > 0.0 ? tried_us_[home_] : level_us_;
  const double cost = std::max(0.0, home_us / level_us_ - 1.0) + kChangeCost;
  const int interval = static_cast<int>(cost / kProbeBudget);
  return std::clamp(interval, kLeastProbe, kMostProbe) * probe_factor_;
}

}  // namespace hetcomp
