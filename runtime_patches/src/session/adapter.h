// Chooses among a model's step tables while it runs: by how long inferences take, and by what their
// steps were predicted to take.
#ifndef HETCOMP_ADAPTER_H_
#define HETCOMP_ADAPTER_H_

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "model/model.h"
#include "session/replay.h"

namespace hetcomp {

// What was seen of one inference.
struct Observation {
  double total_us = 0.0;
  double cpu_us = 0.0;  // of the CPU's steps
};

// Another table was taken for good.
struct Switch {
  long long run = 0;  // inferences before
  std::string from;
  std::string to;
  std::string reason;
};

// Inferences that count together.
class Window {
 public:
  void Add(const Observation& seen) { seen_.push_back(seen); }
  void DropFirst() { seen_.pop_front(); }
  void Clear() { seen_.clear(); }
  size_t count() const { return seen_.size(); }
  double sum_us() const;
  bool Scatters() const;
  // Means; of more than two without the slowest inference.
  Observation Typical() const;

 private:
  std::deque<Observation> seen_;
};

// Reads no clock and does nothing itself: it is told what each inference took and says by which
// table the next one runs.
//
// While nothing changes it stays with its table. When inferences take longer than they used to, it
// tries the tables that the slow-downs make likely, a few inferences each, and stays with the
// fastest. Away from the home table it tries that one every 8 to 16 inferences, and less often
// while such trials mislead; where it is less than twice as slow that takes 7% of the time at most.
class Adapter {
 public:
  // `tables` outlive the adapter, and all have predictions; `home` is where it begins and returns.
  Adapter(std::vector<const Table*> tables, size_t home);

  // The table for the next inference.
  size_t next() const { return current_; }
  // What the inference by that table took.
  void Add(const Observation& seen);

  // How much slower than predicted the processors are, as far as can be seen now.
  Slowdown slowdown() const;
  // The latest ones.
  const std::deque<Switch>& switches() const { return switches_; }
  long long trials() const { return trials_; }

 private:
  // Looking: inferences seem slower, and the next ones tell whether they are.
  enum class Mode { kSteady, kLooking, kTrying };

  void AddSteady(const Observation& seen);
  void AddLook(const Observation& seen);
  void AddTrial(const Observation& seen);
  bool IsSlower(double typical_us) const;
  void Try(const std::vector<size_t>& tables, double settled_us);
  void TryNext();
  void Settle();
  void SwitchTo(size_t table);
  std::vector<size_t> Likely() const;
  int ProbeInterval() const;
  double BestTriedUs() const;

  const std::vector<const Table*> tables_;
  const size_t home_;
  size_t current_;  // runs next
  size_t settled_;  // runs while nothing is tried
  long long runs_ = 0;
  Slowdown slowdown_;  // when it was last settled
  Window recent_;      // by the settled table
  double level_us_;    // the least that an inference by it has typically taken since then
  double best_us_;     // the same since the table was taken
  // Trials.
  std::deque<size_t> to_try_;
  Mode mode_ = Mode::kSteady;
  bool probing_ = false;          // only the home table is tried, and nothing has changed
  double cold_us_ = 0.0;          // the first inference, which does not count; 0 = to come
  Window window_;                 // by the table that is looked at or tried
  std::vector<double> tried_us_;  // 0 = not tried yet
  long long trials_ = 0;
  // When to try.
  int pause_ = 0;  // inferences before small changes count again
  int next_pause_;
  int until_probe_ = 0;     // inferences before the home table is tried
  double probed_us_ = 0.0;  // first inference of the last probe
  int probe_factor_ = 1;    // grows while the home table seems better and is not
  long long came_home_ = 0;
  std::deque<Switch> switches_;
};

}  // namespace hetcomp

#endif  // HETCOMP_ADAPTER_H_
