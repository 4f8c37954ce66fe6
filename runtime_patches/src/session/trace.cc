#include "session/trace.h"

#include <algorithm>

#include "base/json_writer.h"

namespace hetcomp {
namespace {

// Threads of the trace.
constexpr int kInferenceLane = 0;
constexpr int kCpuLane = 1;
constexpr int kGpuLane = 2;
constexpr int kNpuLane = 3;
constexpr const char* kProcessors[] = {"", "cpu", "gpu", "npu"};  // by thread

int32_t Tiles(const Range& range) {
  return (range.row_end - range.row_begin) * (range.channel_end - range.channel_begin);
}

JsonObject EventOf(const char* phase, int lane, const std::string& name, double at_us) {
  JsonObject event;
  event.Text("ph", phase).Count("pid", 1).Count("tid", lane).Text("name", name);
  event.Number("ts", at_us);
  return event;
}

std::string LaneName(int lane, const char* name) {
  return EventOf("M", lane, "thread_name", 0.0)
      .Raw("args", JsonObject().Text("name", name).Done())
      .Done();
}

// Of all tensors of the task, times the step's share of the tiles.
long long StepBytes(const Graph& graph, const Task& task, int32_t tiles) {
  double bytes = 0.0;
  for (int tensor : task.buffers) {
    bytes += static_cast<double>(graph.tensors[static_cast<size_t>(tensor)].size_bytes);
  }
  return static_cast<long long>(bytes * tiles / (static_cast<double>(task.rows) * task.channels));
}

}  // namespace

void Trace::Add(const Table& table, Tier tier, const WalkTimes& times,
                const std::vector<StepSpan>& gpu) {
  const int32_t plan = PlanIndex(table.name);
  const double origin_us = times.origin_us;
  const auto push = [&](Kind kind, const Step& step, const StepSpan& span) {
    Push({origin_us + span.start_us, origin_us + span.end_us, span.wait_us, plan, step.task,
          Tiles(step.range), step.npu, kind, tier});
  };
  Push({origin_us, origin_us + times.total_us, 0.0, plan, -1, 0, 0, Kind::kInference, tier});
  for (size_t i = 0; i < table.cpu.size(); ++i) push(Kind::kCpu, table.cpu[i], times.cpu[i]);
  for (size_t i = 0; i < table.gpu.size(); ++i) {
    push(times.gpu_watched[i] ? Kind::kGpu : Kind::kGpuInferred, table.gpu[i], gpu[i]);
  }
  for (size_t i = 0; i < table.npu.size(); ++i) {
    Step first;
    first.task = table.npu[i].tasks.front();
    if (times.npu[i].end_us > 0.0) push(Kind::kNpu, first, times.npu[i]);
  }
}

int Trace::LaneOf(Kind kind) {
  if (kind == Kind::kNpu) return kNpuLane;
  return kind == Kind::kCpu ? kCpuLane : kGpuLane;
}

void Trace::Mark(double now_us, const std::string& text) {
  if (marks_.size() == kMaxMarks) marks_.erase(marks_.begin());
  marks_.push_back({now_us, text});
}

int32_t Trace::PlanIndex(const std::string& name) {
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end()) {
    names_.push_back(name);
    return static_cast<int32_t>(names_.size()) - 1;
  }
  return static_cast<int32_t>(found - names_.begin());
}

void Trace::Push(const Span& span) {
  if (spans_.size() < kCapacity) {
    spans_.push_back(span);
    return;
  }
  spans_[next_] = span;
  next_ = (next_ + 1) % kCapacity;
}

std::string Trace::SpanJson(const Span& span, const Graph& graph) const {
  const std::string& plan = names_[static_cast<size_t>(span.plan)];
  JsonObject details;
  details.Text("plan", plan).Text("tier", TierName(span.tier));
  std::string name = plan;
  int lane = kInferenceLane;
  if (span.kind != Kind::kInference) {
    const Task& task = graph.tasks[static_cast<size_t>(span.task)];
    Step step;
    step.task = span.task;
    step.npu = span.npu;
    name = StepName(graph, step);
    lane = LaneOf(span.kind);
    details.Text("processor", kProcessors[lane]).Number("wait_us", span.wait_us);
    details.Count("bytes", StepBytes(graph, task, span.tiles));
    details.Flag("end_seen", span.kind != Kind::kGpuInferred);
  }
  return EventOf("X", lane, name, span.start_us - origin_us_)
      .Number("dur", span.end_us - span.start_us)
      .Raw("args", details.Done())
      .Done();
}

std::string Trace::WaitJson(const Span& span) const {
  return EventOf("X", LaneOf(span.kind), "wait", span.start_us - span.wait_us - origin_us_)
      .Number("dur", span.wait_us)
      .Text("cname", "grey")
      .Done();
}

std::string Trace::Json(const Graph& graph) const {
  std::vector<std::string> events = {LaneName(kInferenceLane, "inferences"),
                                     LaneName(kCpuLane, "CPU"), LaneName(kGpuLane, "OpenCL"),
                                     LaneName(kNpuLane, "NPU")};
  for (size_t i = 0; i < spans_.size(); ++i) {
    const Span& span = spans_[(next_ + i) % spans_.size()];
    events.push_back(SpanJson(span, graph));
    if (span.wait_us > 0.0) events.push_back(WaitJson(span));
  }
  for (const Event& mark : marks_) {
    events.push_back(
        EventOf("i", kInferenceLane, mark.text, mark.at_us - origin_us_).Text("s", "p").Done());
  }
  return JsonObject().Text("displayTimeUnit", "ms").Raw("traceEvents", JsonList(events)).Done();
}

}  // namespace hetcomp
