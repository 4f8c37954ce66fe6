// The process's queue of one OpenCL device: who may use it, and what is enqueued ahead.
#ifndef HETCOMP_SHARED_QUEUE_H_
#define HETCOMP_SHARED_QUEUE_H_

#include <new>
#include <string>

#include "opencl/broker.h"

namespace hetcomp {

// A view; the queue itself lives as long as the process. Any thread, but what says so only with
// the turn, which QueueTurn takes.
class SharedQueue {
 public:
  explicit SharedQueue(const std::string& name)
      : broker_(ProcessBroker()), shared_(broker_.find_queue(name.c_str())) {
    if (shared_ == nullptr) throw std::bad_alloc();
  }

  // OpenCL's handles; null until Publish, which this or another model.so calls. With the turn.
  void* device() const { return shared_->device; }
  void* context() const { return shared_->context; }
  void* queue() const { return shared_->queue; }
  void Publish(void* device, void* context, void* queue);

  // Makes `user` the one whose launches enter the queue: whoever was it before gives way. Null:
  // nobody's. With the turn.
  void Use(void* user, void (*give_way)(void* user));
  // Forgets `user`, who does not exist any more. With the turn.
  void Forget(const void* user);

  // A device that hung or failed is used by nobody until somebody has found it in order again.
  bool bad() const { return __atomic_load_n(&shared_->bad, __ATOMIC_ACQUIRE) != 0; }
  void MarkGood() { __atomic_store_n(&shared_->bad, 0, __ATOMIC_RELEASE); }
  void MarkBad() { __atomic_store_n(&shared_->bad, 1, __ATOMIC_RELEASE); }

 private:
  friend class QueueTurn;
  const HetcompBroker& broker_;
  HetcompSharedQueue* const shared_;
};

// One inference, warm-up or measurement on the queue, alone for the life of the object.
class QueueTurn {
 public:
  QueueTurn(const SharedQueue& queue, int priority) : queue_(queue) {
    queue_.broker_.take_turn(queue_.shared_->turn, priority);
  }
  ~QueueTurn() { queue_.broker_.give_turn(queue_.shared_->turn); }
  QueueTurn(const QueueTurn&) = delete;
  QueueTurn& operator=(const QueueTurn&) = delete;

 private:
  const SharedQueue& queue_;
};

}  // namespace hetcomp

#endif  // HETCOMP_SHARED_QUEUE_H_
