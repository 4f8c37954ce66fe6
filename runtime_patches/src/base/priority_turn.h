// Who may use something that only one can use at a time: the longest waiting of those with the
// highest priority, but nobody is passed over for ever.
#ifndef HETCOMP_PRIORITY_TURN_H_
#define HETCOMP_PRIORITY_TURN_H_

#include <condition_variable>
#include <mutex>

namespace hetcomp {

// Who has waited while so many who came later were preferred goes before everyone else. So the
// longest wait is for this many turns, and one for each waiter that has reached the limit before.
constexpr int kMostPreferred = 8;

// Like a mutex, but handed over: a thread that gives the turn away and asks again gets in line.
class PriorityTurn {
 public:
  PriorityTurn() = default;
  PriorityTurn(const PriorityTurn&) = delete;
  PriorityTurn& operator=(const PriorityTurn&) = delete;

  void Take(int priority);
  void Give();

 private:
  struct Waiter {
    explicit Waiter(int p) : priority(p) {}
    const int priority;
    int preferred = 0;  // how many that came later have gone before
    bool granted = false;
    std::condition_variable changed;
    Waiter* next = nullptr;
  };

  Waiter** Next();  // the link to it; call where somebody waits

  std::mutex mutex_;  // guards the rest, and all waiters
  bool taken_ = false;
  Waiter* first_ = nullptr;  // they stand in the order in which they came
};

}  // namespace hetcomp

#endif  // HETCOMP_PRIORITY_TURN_H_
