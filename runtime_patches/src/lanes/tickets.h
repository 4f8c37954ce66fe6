// Steps whose tiles both processors take a few at a time: the CPU from the beginning, the GPU from
// the end, until all are taken. So neither waits for the other longer than one ticket takes,
// whatever was predicted. The slower one may leave the last tickets to the other one, which has
// done them sooner: how many, stands in its step. hetcomp_next in prologue.cc is the GPU's side.
#ifndef HETCOMP_TICKETS_H_
#define HETCOMP_TICKETS_H_

#include <tvm/ffi/c_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/cpu_pool.h"
#include "model/model.h"

namespace hetcomp {

// One step's counters in fine-grained SVM. Zero when an inference begins.
struct alignas(128) TicketLine {
  std::atomic<int32_t> taken;     // tickets asked for by both; those beyond the last are in vain
  std::atomic<int32_t> from_end;  // of these by the GPU, in vain not counted
};

// Steps of the table that have a TicketLine each, in the order of the CPU's steps.
size_t CountTicketLines(const Table& table);
// Number of the line of `task`, which has one.
int TicketLineOf(const Table& table, int task);

// The same table with two parts in the place of tickets, for processors that share no counter: cut
// where they were expected to meet. Where a task cannot be cut in two, both compute it.
Table WithoutTickets(const Table& table, const Graph& graph);

int CountTickets(const Step& step);

// The ranges of the tickets of a step. The last one takes what is left over.
std::vector<Range> TicketRanges(const Step& step);

// The CPU's side of one step.
struct TicketDesk {
  TicketLine* line = nullptr;
  std::vector<CpuCall> calls;  // one a ticket
  int32_t leave = 0;           // of them, to the GPU
  std::atomic<int32_t> from_begin{0};

  void Reset();
};

// A kernel, as the pool's threads call it, that runs tickets of the TicketDesk that is its
// argument.
int RunTickets(void* self, const TVMFFIAny* arguments, int32_t count, TVMFFIAny* result);

}  // namespace hetcomp

#endif  // HETCOMP_TICKETS_H_
