#include "doors/request_queue.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"

namespace hetcomp {

Request::Request(std::vector<const void*> inputs, std::vector<void*> outputs)
    : inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      cancelled_(
          std::make_exception_ptr(Error(ErrorKind::kCancelled, "the request was cancelled"))) {}

bool Request::Wait(double timeout_ms) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto ended = [this] { return state_ == State::kEnded; };
  if (timeout_ms >= 0.0) {
    return ended_.wait_for(lock, std::chrono::duration<double, std::milli>(timeout_ms), ended);
  }
  ended_.wait(lock, ended);
  return true;
}

void Request::ThrowIfFailed() const {
  std::lock_guard<std::mutex> lock(mutex_);
  if (error_ != nullptr) std::rethrow_exception(error_);
}

bool Request::Cancel() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kQueued) return false;
  state_ = State::kEnded;
  error_ = cancelled_;
  ended_.notify_all();
  return true;
}

bool Request::Begin() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kQueued) return false;
  state_ = State::kRunning;
  return true;
}

void Request::End(std::exception_ptr error) {
  std::lock_guard<std::mutex> lock(mutex_);
  state_ = State::kEnded;
  error_ = std::move(error);
  ended_.notify_all();
}

std::shared_ptr<Request> RequestQueue::Submit(std::vector<const void*> inputs,
                                              std::vector<void*> outputs) {
  auto request = std::make_shared<Request>(std::move(inputs), std::move(outputs));
  std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) ThrowInput("the session is closed");
  if (threads_.empty()) {
    for (const Lane& lane : lanes_) threads_.emplace_back([this, &lane] { Work(lane); });
  }
  waiting_.push_back(request);
  changed_.notify_one();
  return request;
}

void RequestQueue::Close() {
  std::list<std::shared_ptr<Request>> given_up;
  std::vector<std::thread> threads;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    given_up.swap(waiting_);
    threads.swap(threads_);
    changed_.notify_all();
  }
  for (const auto& request : given_up) request->Cancel();
  for (std::thread& thread : threads) thread.join();
}

std::shared_ptr<Request> RequestQueue::Next() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
  if (closed_) return nullptr;
  std::shared_ptr<Request> request = std::move(waiting_.front());
  waiting_.pop_front();
  return request;
}

void RequestQueue::Work(const Lane& lane) {
  while (const std::shared_ptr<Request> request = Next()) {
    if (!request->Begin()) continue;
    std::exception_ptr error;
    try {
      lane(request->inputs_.data(), request->outputs_.data());
    } catch (...) {  // handed to whoever waits
      error = std::current_exception();
    }
    request->End(error);
  }
}

}  // namespace hetcomp
