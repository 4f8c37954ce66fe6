#include "base/priority_turn.h"

namespace hetcomp {

void PriorityTurn::Take(int priority) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!taken_) {
    taken_ = true;
    return;
  }
  Waiter self(priority);
  Waiter** end = &first_;
  while (*end != nullptr) end = &(*end)->next;
  *end = &self;  // a list that needs no memory: this cannot fail
  self.changed.wait(lock, [&] { return self.granted; });
}

void PriorityTurn::Give() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (first_ == nullptr) {
    taken_ = false;
    return;
  }
  Waiter** const link = Next();
  Waiter* const chosen = *link;
  for (Waiter* passed = first_; passed != chosen; passed = passed->next) ++passed->preferred;
  *link = chosen->next;
  // Notified under the lock: the waiter lives on its thread's stack.
  chosen->granted = true;
  chosen->changed.notify_one();
}

PriorityTurn::Waiter** PriorityTurn::Next() {
  Waiter** best = &first_;
  for (Waiter** link = &first_; *link != nullptr; link = &(*link)->next) {
    if ((*link)->preferred >= kMostPreferred) return link;
    if ((*link)->priority > (*best)->priority) best = link;
  }
  return best;
}

}  // namespace hetcomp
