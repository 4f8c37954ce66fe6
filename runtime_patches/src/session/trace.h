// The last steps of a session, and what happened to it, as a Chrome trace.
#ifndef HETCOMP_TRACE_H_
#define HETCOMP_TRACE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "lanes/tier.h"
#include "model/model.h"
#include "session/walk_times.h"

namespace hetcomp {

// Keeps the last kCapacity spans. Adding an inference allocates nothing but for a new plan's name.
class Trace {
 public:
  static constexpr size_t kCapacity = 1 << 16;
  static constexpr size_t kMaxMarks = 4096;

  explicit Trace(double origin_us) : origin_us_(origin_us) { spans_.reserve(kCapacity); }

  // One inference by `table`; `gpu` is what FillGpuSpans says of it.
  void Add(const Table& table, Tier tier, const WalkTimes& times, const std::vector<StepSpan>& gpu);

  // Something that happened: a change of plan, a fallback.
  void Mark(double now_us, const std::string& text);

  // Loads in chrome://tracing and ui.perfetto.dev; time starts at the session's.
  // Copies of inputs, outputs and what crosses between two memories are not in it.
  std::string Json(const Graph& graph) const;

 private:
  enum class Kind : uint8_t { kInference, kCpu, kGpu, kGpuInferred, kNpu };
  struct Span {
    double start_us;  // on NowUs()'s clock
    double end_us;
    double wait_us;
    int32_t plan;  // of names_
    int32_t task;
    int32_t tiles;
    int32_t npu;  // as in Step
    Kind kind;
    Tier tier;
  };
  struct Event {
    double at_us;
    std::string text;
  };

  static int LaneOf(Kind kind);  // of a step
  int32_t PlanIndex(const std::string& name);
  void Push(const Span& span);
  std::string SpanJson(const Span& span, const Graph& graph) const;
  std::string WaitJson(const Span& span) const;

  const double origin_us_;
  std::vector<Span> spans_;  // a ring once it is full
  size_t next_ = 0;          // of a full ring: the oldest
  std::vector<std::string> names_;
  std::vector<Event> marks_;
};

}  // namespace hetcomp

#endif  // HETCOMP_TRACE_H_
