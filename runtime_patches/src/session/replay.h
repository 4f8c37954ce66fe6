// How long a step table takes where the processors are slower than predicted.
#ifndef HETCOMP_REPLAY_H_
#define HETCOMP_REPLAY_H_

#include "model/model.h"

namespace hetcomp {

// How many times as long as predicted a processor takes.
struct Slowdown {
  double cpu = 1.0;
  double gpu = 1.0;
};

// Whether every step of the table has a predicted time.
bool HasPredictions(const Table& table);

// Sum of the predicted times of some steps.
double PredictedUs(const std::vector<Step>& steps);

// Time of an inference: both processors work through their steps, wait as the table says, and take
// their factor times what was predicted. Tickets share the slow-down of either between both.
double ReplayUs(const Table& table, const Slowdown& slowdown);

// Of which the CPU spends so much in its steps.
double CpuBusyUs(const Table& table, const Slowdown& slowdown);

// What explains an inference of `total_us` of which the CPU spent `cpu_us` in its steps: the CPU's
// factor is seen, the GPU's is the one that explains the rest. Of a processor that the table does
// not use nothing is learnt: it keeps its factor of `before`.
Slowdown Explain(const Table& table, double total_us, double cpu_us, const Slowdown& before);

}  // namespace hetcomp

#endif  // HETCOMP_REPLAY_H_
