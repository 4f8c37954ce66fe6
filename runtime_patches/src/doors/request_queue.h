// Inferences asked for without waiting: requests, and the threads that run them.
#ifndef HETCOMP_REQUEST_QUEUE_H_
#define HETCOMP_REQUEST_QUEUE_H_

#include <condition_variable>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace hetcomp {

// One inference that somebody has asked for. Its memory belongs to the asker and must stay until
// the request has ended. Any thread may call any method.
class Request {
 public:
  Request(std::vector<const void*> inputs, std::vector<void*> outputs);

  // Whether it has ended, after waiting for that for at most so long; a negative time is no limit.
  bool Wait(double timeout_ms);
  // Throws what the inference has thrown, or Error(kCancelled). Call when it has ended.
  void ThrowIfFailed() const;
  // Gives it up if it has not begun; false if it has.
  bool Cancel();

 private:
  friend class RequestQueue;
  enum class State { kQueued, kRunning, kEnded };

  bool Begin();  // false if it has been cancelled
  void End(std::exception_ptr error);

  const std::vector<const void*> inputs_;
  const std::vector<void*> outputs_;
  const std::exception_ptr cancelled_;  // made before it is needed: giving up needs no memory
  mutable std::mutex mutex_;            // guards the rest
  std::condition_variable ended_;
  State state_ = State::kQueued;
  std::exception_ptr error_;  // null: the outputs are written
};

// First come, first served. Each lane is a thread that takes the next request whenever it is free;
// the threads are started by the first request.
class RequestQueue {
 public:
  using Lane = std::function<void(const void* const* inputs, void* const* outputs)>;

  explicit RequestQueue(std::vector<Lane> lanes) : lanes_(std::move(lanes)) {}
  ~RequestQueue() { Close(); }
  RequestQueue(const RequestQueue&) = delete;
  RequestQueue& operator=(const RequestQueue&) = delete;

  // Throws Error(kInput) after Close.
  std::shared_ptr<Request> Submit(std::vector<const void*> inputs, std::vector<void*> outputs);

  // Cancels what has not begun and waits for what has.
  void Close();

 private:
  void Work(const Lane& lane);
  std::shared_ptr<Request> Next();  // null: closed

  const std::vector<Lane> lanes_;
  std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  std::list<std::shared_ptr<Request>> waiting_;  // an empty deque would hold memory
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace hetcomp

#endif  // HETCOMP_REQUEST_QUEUE_H_
