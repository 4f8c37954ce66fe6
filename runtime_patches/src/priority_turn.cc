#include "priority_turn.h"

#include <algorithm>

namespace hetcomp {

void PriorityTurn::Take(int priority) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!taken_) {
    taken_ = true;
    return;
  }
  Waiter self(priority);
  waiters_.push_back(&self);
  self.changed.wait(lock, [&] { return self.granted; });
}

void PriorityTurn::Give() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (waiters_.empty()) {
    taken_ = false;
    return;
  }
  const Waiters::iterator next = Next();
  std::for_each(waiters_.begin(), next, [](Waiter* waiter) { ++waiter->preferred; });
  // Notified under the lock: the waiter lives on its thread's stack.
  (*next)->granted = true;
  (*next)->changed.notify_one();
  waiters_.erase(next);
}

PriorityTurn::Waiters::iterator PriorityTurn::Next() {
  const auto overdue = std::find_if(waiters_.begin(), waiters_.end(), [](const Waiter* waiter) {
    return waiter->preferred >= kMostPreferred;
  });
  if (overdue != waiters_.end()) return overdue;
  return std::max_element(
      waiters_.begin(), waiters_.end(),
      [](const Waiter* one, const Waiter* other) { return one->priority < other->priority; });
}

}  // namespace hetcomp
