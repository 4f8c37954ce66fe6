// Moving averages of what the steps of one table take.
#ifndef HETCOMP_STEP_STATS_H_
#define HETCOMP_STEP_STATS_H_

#include <string>
#include <vector>

#include "model/model.h"
#include "session/walk_times.h"

namespace hetcomp {

// An average in which the latest value weighs 1/16, and the first all.
class MovingAverage {
 public:
  void Add(double value) {
    value_ = count_ == 0 ? value : value_ + (value - value_) / 16.0;
    ++count_;
  }
  double value() const { return value_; }
  long long count() const { return count_; }

 private:
  double value_ = 0.0;
  long long count_ = 0;
};

// Of one table. Adding a walk allocates nothing.
class StepStats {
 public:
  explicit StepStats(const Table& table);

  // `gpu`: what FillGpuSpans says of the same walk. `chained`: one launch ran all of them.
  void Add(const WalkTimes& times, const std::vector<StepSpan>& gpu, bool chained);

  long long walks() const { return total_us_.count(); }
  double total_us() const { return total_us_.value(); }
  // Part of an inference in which that processor runs steps.
  double cpu_busy_share() const { return cpu_busy_.value(); }
  double gpu_busy_share() const { return gpu_busy_.value(); }
  // The longest launch of an inference. One that waits in the middle keeps the device meanwhile.
  double longest_gpu_us() const { return longest_gpu_us_.value(); }
  double npu_busy_share() const { return npu_busy_.value(); }
  double cpu_wait_us() const { return cpu_wait_us_.value(); }

  // JSON list: every step with its prediction and its averages.
  std::string StepsJson(const Table& table, const Graph& graph) const;

 private:
  struct StepAverage {
    MovingAverage time_us;
    MovingAverage wait_us;
  };

  std::vector<StepAverage> cpu_;
  std::vector<StepAverage> gpu_;  // steps whose end was watched
  std::vector<StepAverage> npu_;  // regions that the NPU ran
  MovingAverage total_us_;
  MovingAverage cpu_busy_;
  MovingAverage gpu_busy_;
  MovingAverage longest_gpu_us_;
  MovingAverage npu_busy_;
  MovingAverage cpu_wait_us_;
};

}  // namespace hetcomp

#endif  // HETCOMP_STEP_STATS_H_
