// The CPU's side of a step table with every argument resolved: nothing is looked up while running.
#ifndef HETCOMP_CPU_PROGRAM_H_
#define HETCOMP_CPU_PROGRAM_H_

#include <memory>
#include <string>
#include <vector>

#include "cpu/cpu_pool.h"
#include "lanes/tickets.h"
#include "model/arena.h"
#include "model/model.h"

namespace hetcomp {

struct CpuStep {
  size_t first_call = 0;
  int n_calls = 0;  // more than one: the pool's threads share the step; 0: see `npu`
  uint32_t wait = 0;
  bool signal = false;
  int task = 0;
  int npu = 0;  // as in Step; where that is below 0, `instead` is what to run where the NPU fails
  std::vector<CpuStep> instead;
};

// Immutable after construction. Does not own the memory it points into.
class CpuProgram {
 public:
  CpuProgram(const Graph& graph, const Table& table, const Memory& memory, int threads);

  // All tickets are there again. Before an inference, with the GPU not in the middle of one.
  void ResetTickets();

  const std::vector<CpuStep>& steps() const { return steps_; }
  const CpuCall* calls(const CpuStep& step) const { return &calls_[step.first_call]; }

 private:
  CpuStep MakeStep(const Graph& graph, const Table& table, const Memory& memory, const Step& step,
                   int threads);
  void AddCalls(const Graph& graph, const Table& table, const Memory& memory, const Step& step,
                int threads);
  void AddTickets(const Graph& graph, const Table& table, const Memory& memory, const Step& step);
  CpuCall MakeCall(const Graph& graph, const Table& table, const Memory& memory, const Task& task,
                   const Range& range);

  std::vector<TVMFFIAny> arguments_;
  std::vector<CpuCall> calls_;
  std::vector<CpuStep> steps_;
  std::vector<std::unique_ptr<TicketDesk>> desks_;
};

// Arguments of kernels.
TVMFFIAny PointerArgument(void* pointer);
TVMFFIAny IntArgument(int64_t number);

// `range` cut into at most `parts` ranges that write disjoint elements.
std::vector<Range> DivideRange(const Task& task, const Range& range, int parts);

}  // namespace hetcomp

#endif  // HETCOMP_CPU_PROGRAM_H_
