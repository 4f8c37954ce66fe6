#include "npu/npu_queue.h"

#include <chrono>
#include <exception>
#include <utility>

#include "base/clock.h"

namespace hetcomp {
namespace {

constexpr int kCloseMs = 1000;
// A sleeping thread wakes up after some 50 us.
constexpr double kSpinUs = 50.0;

}  // namespace

NpuStaging::NpuStaging(const NpuRegion& region) {
  for (const NpuPort& port : region.inputs) inputs.emplace_back(port.bytes());
  for (const NpuPort& port : region.outputs) outputs.emplace_back(port.bytes());
}

NpuQueue::NpuQueue()
    : shared_(std::make_shared<Shared>()), worker_([shared = shared_] { Work(shared); }) {}

NpuQueue::~NpuQueue() {
  Abandon();
  std::unique_lock<std::mutex> lock(shared_->mutex);
  shared_->closing = true;
  shared_->more.notify_all();
  const bool closed = shared_->ended.wait_for(lock, std::chrono::milliseconds(kCloseMs),
                                              [this] { return shared_->closed; });
  lock.unlock();
  if (closed) {
    worker_.join();
  } else {
    worker_.detach();  // it shares all that it may still touch
  }
}

std::shared_ptr<NpuJob> NpuQueue::Submit(std::shared_ptr<NpuKernel> kernel,
                                         std::shared_ptr<NpuStaging> staging) {
  auto job = std::make_shared<NpuJob>();
  job->kernel = std::move(kernel);
  job->staging = std::move(staging);
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->jobs.push_back(job);
  shared_->more.notify_one();
  return job;
}

NpuResult NpuQueue::Wait(const NpuJob& job, double timeout_us) {
  const auto waiting = [&] {
    return job.state.load(std::memory_order_acquire) == NpuJob::State::kWaiting;
  };
  const double begin_us = NowUs();
  while (waiting() && NowUs() - begin_us < kSpinUs) {
  }
  if (waiting()) {
    std::unique_lock<std::mutex> lock(shared_->mutex);
    const auto limit = std::chrono::microseconds(static_cast<int64_t>(timeout_us));
    if (!shared_->ended.wait_for(lock, limit, [&] { return !waiting(); })) {
      shared_->abandoned.store(true);
      return NpuResult::kTimedOut;
    }
  }
  return job.state.load() == NpuJob::State::kDone ? NpuResult::kDone : NpuResult::kFailed;
}

void NpuQueue::Abandon() {
  shared_->abandoned.store(true);
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->jobs.clear();
}

void NpuQueue::Work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock<std::mutex> lock(shared->mutex);
  for (;;) {
    shared->more.wait(lock, [&] { return shared->closing || !shared->jobs.empty(); });
    if (shared->closing) break;
    const std::shared_ptr<NpuJob> job = std::move(shared->jobs.front());
    shared->jobs.pop_front();
    lock.unlock();
    RunJob(job.get(), shared->abandoned);
    lock.lock();
    shared->ended.notify_all();
  }
  shared->closed = true;
  shared->ended.notify_all();
}

void NpuQueue::RunJob(NpuJob* job, const std::atomic<bool>& abandoned) {
  NpuJob::State state = NpuJob::State::kFailed;
  job->start_us = NowUs();
  try {
    std::vector<const char*> inputs;
    std::vector<char*> outputs;
    for (const std::vector<char>& input : job->staging->inputs) inputs.push_back(input.data());
    for (std::vector<char>& output : job->staging->outputs) outputs.push_back(output.data());
    job->kernel->Run(inputs.data(), outputs.data(), abandoned);
    state = NpuJob::State::kDone;
  } catch (...) {
    job->failure = std::current_exception();
  }
  job->end_us = NowUs();
  job->state.store(state, std::memory_order_release);
}

}  // namespace hetcomp
