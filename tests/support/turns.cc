// PriorityTurn: who goes next, and how long the last one waits at most.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/priority_turn.h"

using hetcomp::kMostPreferred;
using hetcomp::PriorityTurn;

namespace {

// Threads that ask one after the other while `main` has the turn, and note the order of grants.
class Line {
 public:
  Line() { turn_.Take(0); }

  void Ask(int priority, char name) {
    const size_t before = waiting_.fetch_add(1);
    threads_.emplace_back([this, priority, name] {
      turn_.Take(priority);
      order_ += name;
      turn_.Give();
    });
    // Long enough for the thread to be in line; the turn itself tells nobody.
    std::this_thread::sleep_for(std::chrono::milliseconds(before == 0 ? 50 : 20));
  }

  std::string Order() {
    turn_.Give();
    for (std::thread& thread : threads_) thread.join();
    return order_;
  }

 private:
  PriorityTurn turn_;
  std::atomic<size_t> waiting_{0};
  std::vector<std::thread> threads_;
  std::string order_;  // guarded by the turn
};

void Expect(const std::string& got, const std::string& expected) {
  if (got == expected) return;
  std::fprintf(stderr, "order %s, expected %s\n", got.c_str(), expected.c_str());
  std::exit(1);
}

void HigherFirstThenLonger() {
  Line line;
  line.Ask(0, 'a');
  line.Ask(5, 'b');
  line.Ask(0, 'c');
  line.Ask(5, 'd');
  line.Ask(-1, 'e');
  Expect(line.Order(), "bdace");
}

void NobodyWaitsForEver() {
  Line line;
  line.Ask(0, 'z');
  for (int i = 0; i < 2 * kMostPreferred; ++i) line.Ask(1, 'a');
  const std::string first(kMostPreferred, 'a');
  Expect(line.Order(), first + "z" + first);
}

// Alone at a time, and everybody gets through.
void Alone() {
  PriorityTurn turn;
  int inside = 0, count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 2000; ++k) {
        turn.Take(i);
        if (++inside != 1) std::abort();
        ++count;
        --inside;
        turn.Give();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Expect(std::to_string(count), "16000");
}

}  // namespace

int main() {
  HigherFirstThenLonger();
  NobodyWaitsForEver();
  Alone();
}
