// Session: measurements. They run on made-up data and leave no trace in later inferences.
#include <algorithm>
#include <mutex>

#include "base/clock.h"
#include "base/error.h"
#include "base/json_writer.h"
#include "base/keep.h"
#include "cpu/pinning.h"
#include "opencl/copy_times.h"
#include "opencl/sync_latencies.h"
#include "session/session.h"

namespace hetcomp {
namespace {

// Executions per GPU measurement: enqueued together, timed from the first signal to the last, so
// that the latency of dispatch is left out.
constexpr int kGpuBatch = 8;
// For kernels that take longer, dispatch is negligible and time is not.
constexpr int kGpuBatchLong = 3;
constexpr double kLongKernelUs = 20e3;
constexpr size_t kMostCopiedBytes = size_t{1} << 30;

// Batches after which an upper bound has to do: a CPU that is taken away notices no end in time.
constexpr int kMostAttempts = 10;

void WaitForStep(GpuLane* lane, uint32_t step) {
  if (lane->WaitFor(step) == WaitResult::kReached) return;
  throw Error(ErrorKind::kDevice, "a measured task did not finish in time");
}

// Time of a step of the batch that runs, from an end in its first half that was noticed in time on;
// 0 where none was.
double TimeSteps(GpuLane* lane) {
  const uint32_t last = lane->n_steps();
  double begin_us = 0.0;
  uint32_t first = 0;
  for (uint32_t next = 1; next <= last / 2 && first == 0; next = lane->Finished() + 1) {
    WaitForStep(lane, next);
    begin_us = NowUs();
    if (lane->Finished() == next) first = next;
  }
  WaitForStep(lane, last);
  return first == 0 ? 0.0 : (NowUs() - begin_us) / (last - first);
}

// A table of `copies` equal steps on one processor.
Table SingleTaskTable(const Table& base, Processor processor, const Step& step, int copies) {
  Table table = base;
  table.name = "time_task";
  table.cpu.clear();
  table.gpu.clear();
  table.npu.clear();
  std::vector<Step>& steps = processor == Processor::kCpu ? table.cpu : table.gpu;
  steps.assign(static_cast<size_t>(copies), step);
  return table;
}

std::string TimesJson(const WalkTimes& times) {
  std::vector<std::string> cpu;
  for (const StepSpan& span : times.cpu) {
    cpu.push_back(JsonNumbers({span.start_us, span.end_us, span.wait_us}));
  }
  std::vector<std::string> npu;
  for (const StepSpan& span : times.npu) npu.push_back(JsonNumbers({span.start_us, span.end_us}));
  std::vector<std::string> watched;
  for (bool flag : times.gpu_watched) watched.push_back(flag ? "true" : "false");
  return JsonObject()
      .Number("total_us", times.total_us)
      .Raw("cpu", JsonList(cpu))
      .Raw("gpu", JsonNumbers(times.gpu_end_us))
      .Raw("gpu_watched", JsonList(watched))
      .Raw("npu", JsonList(npu))
      .Done();
}

}  // namespace

// Floats in [0.25, 1.25), so that no denormal slows a kernel; integers 0, a valid index anywhere.
void Session::FillTensor(const Memory& memory, const Table& table, int tensor) const {
  const Tensor& info = model_.graph.tensors[static_cast<size_t>(tensor)];
  if (info.constant) return;
  char* data = memory.Address(model_.graph, table, tensor);
  if (info.dtype != "float32") {
    std::fill(data, data + info.size_bytes, '\0');
    return;
  }
  float* values = reinterpret_cast<float*>(data);
  uint32_t state = 12345;
  for (size_t i = 0; i < info.size_bytes / sizeof(float); ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = 0.25f + static_cast<float>(state >> 8) * (1.0f / (1 << 24));
  }
}

void Session::FillInputs() {
  for (int tensor : model_.graph.inputs) FillTensor(ready_->memory, ready_->table, tensor);
}

WalkTimes Session::TimeOnce() {
  WalkTimes times(ready_->table);
  times.Begin();
  if (ready_->lane == nullptr) {
    if (Walk(Context(*ready_), &times) != WalkResult::kDone) ThrowKernelFailure();
  } else if (const std::string why = WalkWithGpu(Fault::kNone, &times); !why.empty()) {
    AbandonDevice(why);
    throw Error(ErrorKind::kDevice, why_no_gpu_);
  }
  if (ready_->npu != nullptr) ready_->npu->FillSpans(times.origin_us, &times.npu);
  AfterNpu();
  return times;
}

std::string Session::ProfileJson(int reps, const void* const* inputs) {
  if (reps < 1 || reps > 100000) ThrowInput("profile: reps must be from 1 to 100000");
  std::lock_guard<std::mutex> lock(mutex_);
  const ScopedPin pin = PinCaller();
  const PoolScope pool_scope(pool_.get());
  std::vector<std::string> runs;
  for (int rep = 0; rep < reps; ++rep) {
    // Anew each time: the arena may reuse the inputs' memory.
    if (inputs != nullptr) {
      CopyIn(inputs);
    } else {
      FillInputs();
    }
    runs.push_back(TimesJson(TimeOnce()));
  }
  return JsonObject().Text("plan", ready_->table.name).Raw("runs", JsonList(runs)).Done();
}

std::vector<double> Session::TimeOnCpu(const Table& table, int warmup, int reps) {
  Ready ready(table);
  ready.memory = ready_->memory;
  ready.cpu = std::make_unique<CpuProgram>(model_.graph, table, ready.memory, options_.threads);
  FillTaskInputs(ready, table.cpu.front().task);
  const PoolScope pool_scope(pool_.get());
  const WalkContext context = Context(ready);
  std::vector<double> times_us;
  for (int rep = -warmup; rep < reps; ++rep) {
    const double start_us = NowUs();
    if (Walk(context, nullptr) != WalkResult::kDone) ThrowKernelFailure();
    if (rep >= 0) times_us.push_back(NowUs() - start_us);
  }
  return times_us;
}

std::vector<double> Session::TimeOnGpu(const Step& step, int copies, int warmup, int reps) {
  std::unique_ptr<Ready> ready =
      MakeReady(SingleTaskTable(ready_->table, Processor::kGpu, step, copies), /*measured=*/true);
  FillTaskInputs(*ready, step.task);
  const QueueTurn turn(device_->queue(), options_.priority);
  std::vector<double> times_us;
  try {
    for (int rep = -warmup; rep < reps; ++rep) {
      const double time_us = TimeBatch(ready->lane.get());
      if (rep >= 0) times_us.push_back(time_us);
    }
    if (!EmptyQueue(channel_->timeout_us()).all()) {
      throw Error(ErrorKind::kDevice, "the queue does not become empty");
    }
  } catch (const Error& error) {
    KeepForEver(std::move(ready));  // its kernels may be running still
    AbandonDevice(error.what());
    throw;
  }
  return times_us;
}

double Session::TimeBatch(GpuLane* lane) {
  double bound_us = 0.0;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const double start_us = NowUs();
    lane->BeginBatch();
    const double step_us = TimeSteps(lane);
    bound_us = (NowUs() - start_us) / lane->n_steps();
    lane->End();
    if (step_us > 0.0) return step_us;
  }
  return bound_us;
}

void Session::FillTaskInputs(const Ready& ready, int task) const {
  const Task& info = model_.graph.tasks[static_cast<size_t>(task)];
  for (int i = 0; i < info.n_inputs; ++i) {
    FillTensor(ready.memory, ready.table, info.buffers[static_cast<size_t>(i)]);
  }
}

std::string Session::TimeTaskJson(int task, Processor processor, const Range& range, int warmup,
                                  int reps) {
  if (reps < 1 || reps > 100000 || warmup < 0 || warmup > 100000) {
    ThrowInput("time_task: reps must be from 1 and warmup from 0 to 100000");
  }
  Step step;
  step.task = task;
  step.range = range;
  std::lock_guard<std::mutex> lock(mutex_);
  const Table table = SingleTaskTable(ready_->table, processor, step, 1);
  CheckTable(table, model_.graph);
  if (processor == Processor::kCpu) {
    const ScopedPin pin = PinCaller();
    return JsonNumbers(TimeOnCpu(table, warmup, reps));
  }
  PrepareGpu();
  ScopedPin pin(device_->host_core());
  const double probe_us = TimeOnGpu(step, kGpuBatchLong, 0, 1).front();
  const int copies = probe_us < kLongKernelUs ? kGpuBatch : kGpuBatchLong;
  return JsonNumbers(TimeOnGpu(step, copies, warmup, reps));
}

std::string Session::LatenciesJson(int reps) {
  if (reps < 1 || reps > 100000) ThrowInput("latencies: reps must be from 1 to 100000");
  std::lock_guard<std::mutex> lock(mutex_);
  PrepareGpu();
  const std::string& why_not = device_->probe().tiers.no_ahead;
  if (!why_not.empty()) throw Error(ErrorKind::kDevice, "no latencies: " + why_not);
  ScopedPin pin(device_->host_core());
  const QueueTurn turn(device_->queue(), options_.priority);
  if (!channel_->Drain(channel_->timeout_us())) {
    throw Error(ErrorKind::kDevice, "the queue does not become empty");
  }
  return SyncLatenciesJson(
      device_->cl(),
      device_->Program(image_.opencl_source, MemoryKind::kFine, options_.cache).program(),
      device_->probe().poll_round_us, reps);
}

std::string Session::CopiesJson(size_t bytes, int reps) {
  if (reps < 1 || reps > 100000) ThrowInput("copies: reps must be from 1 to 100000");
  if (bytes < 1 || bytes > kMostCopiedBytes) ThrowInput("copies: bytes must be from 1 to 2^30");
  std::lock_guard<std::mutex> lock(mutex_);
  PrepareGpu();
  ScopedPin pin(device_->host_core());
  const QueueTurn turn(device_->queue(), options_.priority);
  if (!channel_->Drain(channel_->timeout_us())) {
    throw Error(ErrorKind::kDevice, "the queue does not become empty");
  }
  try {
    return CopyTimesJson(*device_, bytes, reps, channel_->timeout_us());
  } catch (const Error& error) {
    AbandonDevice(error.what());
    throw;
  }
}

}  // namespace hetcomp
