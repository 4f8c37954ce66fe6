// Session: inferences, and the ways out when the GPU fails.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/keep.h"
#include "base/notice.h"
#include "cpu/pinning.h"
#include "opencl/cl_events.h"
#include "session/session.h"

namespace hetcomp {
namespace {

// For the second of two waits, so that the first one does not leave it without time to look.
constexpr double kLeastDrainUs = 1e4;

}  // namespace

WalkContext Session::Context(const Ready& ready) const {
  WalkContext context;
  context.cpu = ready.cpu.get();
  context.pool = pool_.get();
  context.lane = ready.lane.get();
  context.npu = ready.npu.get();
  return context;
}

void Session::CopyIn(const void* const* inputs) {
  const Graph& graph = model_.graph;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const int tensor = graph.inputs[i];
    char* own = ready_->memory.Address(graph, ready_->table, tensor);
    if (own == inputs[i]) continue;
    std::memcpy(own, inputs[i], graph.tensors[static_cast<size_t>(tensor)].size_bytes);
  }
}

void Session::CopyOut(void* const* outputs) const {
  const Graph& graph = model_.graph;
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const int tensor = graph.outputs[i];
    const char* own = ready_->memory.Address(graph, ready_->table, tensor);
    if (own == outputs[i]) continue;
    std::memcpy(outputs[i], own, graph.tensors[static_cast<size_t>(tensor)].size_bytes);
  }
}

void Session::Run(const void* const* inputs, void* const* outputs) {
  std::lock_guard<std::mutex> lock(mutex_);
  FollowAdapter();
  const double start_us = NowUs();
  const ScopedPin pin = PinCaller();
  const PoolScope pool_scope(pool_.get());
  if (ready_->lane != nullptr && device_->bad()) AbandonDevice("failed earlier");
  CopyIn(inputs);
  if (ready_->lane == nullptr) {
    RunCpu();
  } else if (!RunGpu()) {
    ++fallbacks_;
    CopyIn(inputs);  // the CPU's table has other memory
    RunCpu();
  }
  CopyOut(outputs);
  AfterNpu();
  Record();
  TellAdapter();
  CountRun((NowUs() - start_us) * 1e-3);
}

// The first inference is apart: it touches memory and code that the others find ready.
void Session::CountRun(double time_ms) {
  (runs_ == 0 ? first_run_ms_ : later_runs_ms_) += time_ms;
  ++runs_;
}

void Session::ThrowKernelFailure() {
  ThrowInternal("a CPU kernel failed: " +
                (pool_ != nullptr ? pool_->TakeError() : TakeKernelError()));
}

void Session::RunCpu() {
  ready_->times.Begin();
  if (Walk(Context(*ready_), &ready_->times) != WalkResult::kDone) ThrowKernelFailure();
}

// False: the GPU is given up and a table without it installed; the inference must be repeated.
bool Session::RunGpu() {
  const Fault fault = fault_;
  fault_ = Fault::kNone;
  const std::string why = WalkWithGpu(fault, &ready_->times);
  if (why.empty()) return true;
  AbandonDevice(why);
  return false;
}

void Session::BeginOnGpu(Fault fault) {
  ahead_.Arrive(NowUs());
  ready_->cpu->ResetTickets();  // the GPU is at a gate, or idle
  const bool was_ahead = channel_->gate_closed();
  if (ready_->lane->Begin(ahead_.Wanted(), fault)) {
    ahead_.Used();
  } else if (was_ahead) {
    ahead_.Voided();
  }
}

// Enqueues and walks the installed table. Returns why the GPU failed, or "". A failing CPU kernel
// is thrown; the channel is in order then.
std::string Session::WalkWithGpu(Fault fault, WalkTimes* times) {
  const QueueTurn turn(device_->queue(), options_.priority);
  times->Begin();
  try {
    BeginOnGpu(fault);
    switch (Walk(Context(*ready_), times)) {
      case WalkResult::kDone:
        ready_->lane->End();
        ahead_.Leave(NowUs());
        return "";
      case WalkResult::kKernelFailed:
        if (channel_->Drain(channel_->timeout_us())) ThrowKernelFailure();
        return "it did not stop after a CPU kernel had failed";
      case WalkResult::kTimedOut:
        ++timeouts_;
        return "no answer within " + std::to_string(std::lround(options_.timeout_ms)) + " ms";
      case WalkResult::kAborted:
        ++timeouts_;
        return "a kernel gave up waiting for the CPU";
    }
  } catch (const TimeoutError& error) {
    ++timeouts_;
    return error.what();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kDevice) throw;
    return error.what();
  }
  return "unknown result";
}

void Session::LeakDeviceMemory() {
  KeepForEver(std::exchange(mirror_, nullptr));
  for (Block* block : {&svm_arena_, &svm_constants_, &io_}) {
    if (block == &io_ && !io_is_svm_) continue;
    KeepForEver(std::exchange(*block, nullptr));
  }
}

// Gives the device up. Its memory is leaked: a late kernel may still write there.
void Session::AbandonDevice(const std::string& why) {
  channel_->Abandon();
  KeepForEver(std::move(channel_));
  gave_up_ = true;
  const bool had_io = io_ != nullptr;
  LeakDeviceMemory();
  if (had_io && io_ == nullptr) AllocateIo();
  why_no_gpu_ = device_->choice().name + ": " + why;
  Mark(why_no_gpu_);
  NoticeOnce(why_no_gpu_ + "; the CPU takes over", options_.quiet);
  StopAdapting("the device is given up");
  if (ready_->lane != nullptr) LeaveGpu();
}

// Goes over to a table without the GPU; kernels of the old one may be running still.
void Session::LeaveGpu() {
  KeepForEver(ready_->memory.tickets);
  KeepForEver(std::move(ready_->lane));
  ready_ = MakeReady(TableWithoutGpu(ready_->table));
}

// Stops what waits on the device for the CPU.
bool Session::Drains(double timeout_us) {
  try {
    return channel_->Drain(timeout_us);
  } catch (const Error&) {
    return false;
  }
}

// Whether all has ended within this time. Kernels raise their last flag a little earlier, and
// drivers look at the memory of their arguments once more when they end.
bool Session::Ends(double timeout_us) {
  try {
    return FinishWithin(device_->cl(), timeout_us) == WaitResult::kReached;
  } catch (const Error&) {
    return false;
  }
}

// Stops and ends all, within so long. Call with the queue's turn.
Session::Emptied Session::EmptyQueue(double timeout_us) {
  if (device_->bad()) return {};
  const double end_us = NowUs() + timeout_us;
  const auto left_us = [&] { return std::max(kLeastDrainUs, end_us - NowUs()); };
  Emptied emptied;
  emptied.in_order = Drains(left_us());
  emptied.ended = Ends(left_us());
  return emptied;
}

// Puts a table to use, and the one before out of it.
void Session::Install(std::unique_ptr<Ready> next) {
  Retire(std::exchange(ready_, std::move(next)));
}

// Frees what the kernels of a table know, when these have ended.
void Session::Retire(std::unique_ptr<Ready> last) {
  if (last == nullptr || last->lane == nullptr) return;
  if (channel_ != nullptr) {
    ScopedPin pin(device_->host_core());
    const QueueTurn turn(device_->queue(), options_.priority);
    if (EmptyQueue(channel_->timeout_us()).all()) {
      last.reset();
      return;
    }
  }
  KeepForEver(std::move(last));
  if (channel_ != nullptr) AbandonDevice("the queue does not become empty");
}

}  // namespace hetcomp
