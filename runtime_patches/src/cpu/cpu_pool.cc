#include "cpu/cpu_pool.h"

#include <sched.h>
#include <tvm/ffi/error.h>

#include <new>
#include <utility>

#include "base/clock.h"
#include "cpu/pinning.h"

namespace hetcomp {
namespace {

constexpr int kPollsBeforeYield = 2000;

}  // namespace

std::string TakeKernelError() noexcept {
  TVMFFIObjectHandle handle = nullptr;
  TVMFFIErrorMoveFromRaised(&handle);
  if (handle == nullptr) return "no message";
  const TVMFFIByteArray message = TVMFFIErrorGetCellPtr(handle)->message;
  std::string text = "out of memory";  // short enough to need none
  try {
    text.assign(message.data, message.size);
  } catch (const std::bad_alloc&) {
  }
  TVMFFIObjectDecRef(handle);
  return text;
}

CpuPool::CpuPool(int threads, const std::vector<int>& cores) {
  try {
    for (int worker = 1; worker < threads; ++worker) Start(worker, cores);
  } catch (...) {  // too few threads or too little memory
    Stop();
    throw;
  }
}

CpuPool::~CpuPool() { Stop(); }

void CpuPool::Start(int worker, const std::vector<int>& cores) {
  const size_t index = static_cast<size_t>(worker);
  // Those without a core of their own run on any of them.
  const std::vector<int> own = index < cores.size() ? std::vector<int>{cores[index]} : cores;
  workers_.emplace_back([this, worker, own] {
    const ScopedPin pin(own);
    Work(worker);
  });
}

void CpuPool::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true);
    active_.store(true);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void CpuPool::Begin() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    active_.store(true);
  }
  wake_.notify_all();
}

void CpuPool::End() { active_.store(false); }

bool CpuPool::Run(const CpuCall* calls, int n) {
  if (n > 1) {
    calls_ = calls;
    n_calls_ = n;
    done_.store(0, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
  }
  if (Invoke(calls[0]) != 0) {
    std::lock_guard<std::mutex> lock(mutex_);
    error_ = TakeKernelError();
    failed_.store(true);
  }
  // Every worker reports, also those without a call: nobody reads calls_ after this loop.
  const int expected = n > 1 ? static_cast<int>(workers_.size()) : 0;
  for (int polls = 0; expected > 0 && done_.load(std::memory_order_acquire) < expected; ++polls) {
    Pause();
    if (polls > kPollsBeforeYield) sched_yield();
  }
  return !failed_.load(std::memory_order_acquire);
}

std::string CpuPool::TakeError() {
  std::lock_guard<std::mutex> lock(mutex_);
  failed_.store(false);
  return std::exchange(error_, std::string());
}

void CpuPool::SleepUntilActive() {
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait(lock, [this] { return active_.load(); });
}

void CpuPool::Work(int worker) {
  uint32_t seen = 0;
  int polls = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    const uint32_t now = generation_.load(std::memory_order_acquire);
    if (now == seen) {
      Pause();
      if (++polls > kPollsBeforeYield) sched_yield();
      if (!active_.load(std::memory_order_relaxed)) SleepUntilActive();
      continue;
    }
    seen = now;
    polls = 0;
    if (worker < n_calls_ && Invoke(calls_[worker]) != 0) {
      std::lock_guard<std::mutex> lock(mutex_);
      error_ = TakeKernelError();
      failed_.store(true, std::memory_order_release);
    }
    done_.fetch_add(1, std::memory_order_release);
  }
}

}  // namespace hetcomp
