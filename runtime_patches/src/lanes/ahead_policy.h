// Whether the next inference is worth enqueuing before it is asked for.
#ifndef HETCOMP_AHEAD_POLICY_H_
#define HETCOMP_AHEAD_POLICY_H_

#include "doors/options.h"

namespace hetcomp {

// Pays where inferences follow each other closely; after a longer pause the gate has become void,
// and the device has polled for nothing. So `auto` wants a number of short pauses in a row: one at
// first, twice as many after each gate that became void, half as many after each that did not.
class AheadPolicy {
 public:
  explicit AheadPolicy(AheadMode mode) : mode_(mode) {}

  void Arrive(double now_us);  // an inference is asked for
  void Leave(double now_us) { left_us_ = now_us; }
  // What became of an inference that was enqueued ahead.
  void Used();
  void Voided();

  bool Wanted() const;
  long long used() const { return used_; }
  long long voided() const { return voided_; }

 private:
  const AheadMode mode_;
  double left_us_ = 0.0;
  int short_pauses_ = 0;
  int needed_ = 1;
  long long used_ = 0;
  long long voided_ = 0;
};

}  // namespace hetcomp

#endif  // HETCOMP_AHEAD_POLICY_H_
