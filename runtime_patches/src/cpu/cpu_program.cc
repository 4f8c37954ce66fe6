#include "cpu/cpu_program.h"

#include <algorithm>
#include <utility>

namespace hetcomp {

TVMFFIAny PointerArgument(void* pointer) {
  TVMFFIAny value;
  value.type_index = kTVMFFIOpaquePtr;
  value.zero_padding = 0;
  value.v_ptr = pointer;
  return value;
}

TVMFFIAny IntArgument(int64_t number) {
  TVMFFIAny value;
  value.type_index = kTVMFFIInt;
  value.zero_padding = 0;
  value.v_int64 = number;
  return value;
}

std::vector<Range> DivideRange(const Task& task, const Range& range, int parts) {
  const int rows = range.row_end - range.row_begin;
  const int channels = range.channel_end - range.channel_begin;
  // The axis whose largest part is the smaller share; rows, where they are alike.
  const auto largest = [parts](int extent) { return (extent + parts - 1) / parts; };
  const bool by_rows = channels == 0 || largest(rows) * channels <= largest(channels) * rows;
  const int begin = by_rows ? range.row_begin : range.channel_begin;
  const int length = by_rows ? rows : channels;
  std::vector<Range> result;
  int from = begin;
  for (int part = 1; part <= parts; ++part) {
    int to = begin + static_cast<int>(static_cast<int64_t>(length) * part / parts);
    if (part < parts) {
      to = LegalCut(to, by_rows ? task.rows : task.channels,
                    by_rows ? task.rows_ragged : task.channels_ragged);
    }
    if (to <= from) continue;
    Range piece = range;
    (by_rows ? piece.row_begin : piece.channel_begin) = from;
    (by_rows ? piece.row_end : piece.channel_end) = to;
    result.push_back(piece);
    from = to;
  }
  return result;
}

CpuProgram::CpuProgram(const Graph& graph, const Table& table, const Memory& memory, int threads) {
  for (const Step& step : table.cpu) {
    steps_.push_back(MakeStep(graph, table, memory, step, threads));
  }
  // Only now is arguments_ at its final address.
  const TVMFFIAny* begin = arguments_.data();
  const auto resolve = [begin](CpuCall* call) { call->arguments = begin + call->first_argument; };
  for (CpuCall& call : calls_) resolve(&call);
  for (auto& desk : desks_) {
    for (CpuCall& call : desk->calls) resolve(&call);
  }
}

CpuStep CpuProgram::MakeStep(const Graph& graph, const Table& table, const Memory& memory,
                             const Step& step, int threads) {
  CpuStep result;
  result.first_call = calls_.size();
  if (step.npu == 0) AddCalls(graph, table, memory, step, threads);
  result.n_calls = static_cast<int>(calls_.size() - result.first_call);
  result.wait = static_cast<uint32_t>(step.wait);
  result.signal = step.signal;
  result.task = step.task;
  result.npu = step.npu;
  if (step.npu >= 0) return result;
  const NpuStep& region = table.npu[static_cast<size_t>(-step.npu) - 1];
  for (int index : region.tasks) {
    Step own;
    own.task = index;
    own.range = region.RangeOf(graph.tasks[static_cast<size_t>(index)]);
    result.instead.push_back(MakeStep(graph, table, memory, own, threads));
  }
  return result;
}

void CpuProgram::AddCalls(const Graph& graph, const Table& table, const Memory& memory,
                          const Step& step, int threads) {
  const Task& task = graph.tasks[static_cast<size_t>(step.task)];
  if (step.ticket != 0) {
    AddTickets(graph, table, memory, step);
    // Each thread takes tickets.
    calls_.resize(calls_.size() + static_cast<size_t>(threads) - 1, calls_.back());
  } else {
    for (const Range& range : DivideRange(task, step.range, threads)) {
      calls_.push_back(MakeCall(graph, table, memory, task, range));
    }
  }
}

void CpuProgram::AddTickets(const Graph& graph, const Table& table, const Memory& memory,
                            const Step& step) {
  const Task& task = graph.tasks[static_cast<size_t>(step.task)];
  auto desk = std::make_unique<TicketDesk>();
  desk->line = reinterpret_cast<TicketLine*>(memory.tickets.get()) + desks_.size();
  desk->leave = step.leave;
  for (const Range& range : TicketRanges(step)) {
    desk->calls.push_back(MakeCall(graph, table, memory, task, range));
  }
  calls_.push_back({RunTickets, nullptr, 1, arguments_.size()});
  arguments_.push_back(PointerArgument(desk.get()));
  desks_.push_back(std::move(desk));
}

CpuCall CpuProgram::MakeCall(const Graph& graph, const Table& table, const Memory& memory,
                             const Task& task, const Range& range) {
  const size_t first = arguments_.size();
  for (int tensor : task.buffers) {
    arguments_.push_back(PointerArgument(memory.Address(graph, table, tensor)));
  }
  for (int bound : {range.row_begin, range.row_end, range.channel_begin, range.channel_end}) {
    arguments_.push_back(IntArgument(bound));
  }
  return {graph.kernels[static_cast<size_t>(task.kernel)].function, nullptr,
          static_cast<int32_t>(arguments_.size() - first), first};
}

void CpuProgram::ResetTickets() {
  for (auto& desk : desks_) desk->Reset();
}

}  // namespace hetcomp
