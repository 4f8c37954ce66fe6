#include "lanes/tickets.h"

#include <algorithm>
#include <cstdlib>

namespace hetcomp {

size_t CountTicketLines(const Table& table) {
  const auto has_tickets = [](const Step& step) { return step.ticket != 0; };
  return static_cast<size_t>(std::count_if(table.cpu.begin(), table.cpu.end(), has_tickets));
}

int TicketLineOf(const Table& table, int task) {
  int line = 0;
  for (const Step& step : table.cpu) {
    if (step.ticket == 0) continue;
    if (step.task == task) break;
    ++line;
  }
  return line;
}

Table WithoutTickets(const Table& table, const Graph& graph) {
  Table halves = table;
  for (std::vector<Step>* steps : {&halves.cpu, &halves.gpu}) {
    for (Step& step : *steps) {
      if (step.ticket == 0) continue;
      const Task& task = graph.tasks[static_cast<size_t>(step.task)];
      const bool by_rows = step.ticket > 0;
      int& begin = by_rows ? step.range.row_begin : step.range.channel_begin;
      int& end = by_rows ? step.range.row_end : step.range.channel_end;
      const bool known = begin < step.cut && step.cut < end;
      const int cut =
          LegalCut(known ? step.cut : (begin + end) / 2, by_rows ? task.rows : task.channels,
                   by_rows ? task.rows_ragged : task.channels_ragged);
      step.ticket = step.leave = step.cut = 0;
      if (cut > begin) (steps == &halves.cpu ? end : begin) = cut;
    }
  }
  return halves;
}

int CountTickets(const Step& step) {
  const Range& range = step.range;
  const int length =
      step.ticket > 0 ? range.row_end - range.row_begin : range.channel_end - range.channel_begin;
  return std::max(length / std::abs(step.ticket), 1);
}

std::vector<Range> TicketRanges(const Step& step) {
  const bool by_rows = step.ticket > 0;
  const int begin = by_rows ? step.range.row_begin : step.range.channel_begin;
  const int width = std::abs(step.ticket);
  const int count = CountTickets(step);
  std::vector<Range> ranges(static_cast<size_t>(count), step.range);
  for (int number = 0; number < count; ++number) {
    Range& range = ranges[static_cast<size_t>(number)];
    (by_rows ? range.row_begin : range.channel_begin) = begin + number * width;
    if (number == count - 1) continue;
    (by_rows ? range.row_end : range.channel_end) = begin + (number + 1) * width;
  }
  return ranges;
}

void TicketDesk::Reset() {
  line->taken.store(0, std::memory_order_relaxed);
  line->from_end.store(0, std::memory_order_relaxed);
  from_begin.store(0, std::memory_order_relaxed);
}

int RunTickets(void* /*self*/, const TVMFFIAny* arguments, int32_t /*count*/,
               TVMFFIAny* /*result*/) {
  auto* desk = static_cast<TicketDesk*>(arguments[0].v_ptr);
  const int32_t count = static_cast<int32_t>(desk->calls.size());
  const auto leaves_the_rest = [desk, count] {
    return desk->leave > 0 &&
           desk->line->taken.load(std::memory_order_relaxed) >= count - desk->leave;
  };
  while (!leaves_the_rest() && desk->line->taken.fetch_add(1, std::memory_order_acq_rel) < count) {
    const int32_t number = desk->from_begin.fetch_add(1, std::memory_order_relaxed);
    const int status = Invoke(desk->calls[static_cast<size_t>(number)]);
    if (status != 0) return status;
  }
  return 0;
}

}  // namespace hetcomp
