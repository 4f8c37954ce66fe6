// What a door holds: a session with its requests, which may be closed while others still use it.
#ifndef HETCOMP_OPEN_MODEL_H_
#define HETCOMP_OPEN_MODEL_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "doors/request_queue.h"
#include "session/session.h"

namespace hetcomp {

// With the option `pipeline` two sessions share the requests: one runs whole inferences on the
// device, the other on the CPU, each takes the next whenever it is free. A request takes longer
// than with a plan that shares its operators, but nobody ever waits for the other.
//
// Thread-safe. Calls after Close throw Error(kInput); Close waits for those before it.
class OpenModel {
 public:
  explicit OpenModel(std::string_view options_json);
  ~OpenModel() { Close(); }
  OpenModel(const OpenModel&) = delete;
  OpenModel& operator=(const OpenModel&) = delete;

  // Valid until Close.
  const Graph& graph() const { return session_->graph(); }

  // body(session), with the session open for that long; of a pipeline the device's, so that its
  // status, stats and trace tell of that half of the requests.
  template <typename Body>
  auto Use(Body body) {
    const Call call(this);
    return body(*session_);
  }
  // The same for what concerns one session alone: throws Error(kInput) in a pipeline.
  template <typename Body>
  auto Change(Body body) {
    const Call call(this);
    if (partner_ != nullptr) ThrowInput("a pipeline has fixed plans and two memories");
    return body(*session_);
  }

  void Run(const void* const* inputs, void* const* outputs);

  std::shared_ptr<Request> Submit(std::vector<const void*> inputs, std::vector<void*> outputs) {
    const Call call(this);
    return queue_->Submit(std::move(inputs), std::move(outputs));
  }

  // Cancels the requests that have not begun, waits for inferences in progress (each ends within
  // the device's time-out and one inference of the CPU), and frees the session. Any number of
  // times.
  void Close();

 private:
  // One call from outside.
  class Call {
   public:
    explicit Call(OpenModel* model);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    OpenModel* const model_;
  };

  std::unique_ptr<Session> session_;
  std::unique_ptr<Session> partner_;  // null: no pipeline
  std::unique_ptr<RequestQueue> queue_;
  std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  int calls_ = 0;  // in progress
  bool closing_ = false;
  bool closed_ = false;
};

}  // namespace hetcomp

#endif  // HETCOMP_OPEN_MODEL_H_
