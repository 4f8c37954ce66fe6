#include "cpu_program.h"

#include <algorithm>

namespace hetcomp {
namespace {

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

// Nearest boundary at or below `cut` that no two tiles share (Grid.legal_cut in Python).
int LegalCut(int cut, int extent, bool ragged) {
  return ragged && extent > 1 && cut == extent - 1 ? cut - 1 : cut;
}

}  // namespace

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
  for (const Step& step : table.cpu) AddStep(graph, table, memory, step, threads);
  // Only now is arguments_ at its final address.
  const TVMFFIAny* next = arguments_.data();
  for (CpuCall& call : calls_) {
    call.arguments = next;
    next += call.n_arguments;
  }
}

void CpuProgram::AddStep(const Graph& graph, const Table& table, const Memory& memory,
                         const Step& step, int threads) {
  const Task& task = graph.tasks[static_cast<size_t>(step.task)];
  CpuStep result;
  result.first_call = calls_.size();
  for (const Range& range : DivideRange(task, step.range, threads)) {
    AddCall(graph, table, memory, task, range);
  }
  result.n_calls = static_cast<int>(calls_.size() - result.first_call);
  result.wait = static_cast<uint32_t>(step.wait);
  result.signal = step.signal;
  result.task = step.task;
  steps_.push_back(result);
}

void CpuProgram::AddCall(const Graph& graph, const Table& table, const Memory& memory,
                         const Task& task, const Range& range) {
  for (int tensor : task.buffers) {
    arguments_.push_back(PointerArgument(memory.Address(graph, table, tensor)));
  }
  for (int bound : {range.row_begin, range.row_end, range.channel_begin, range.channel_end}) {
    arguments_.push_back(IntArgument(bound));
  }
  CpuCall call;
  call.function = graph.kernels[static_cast<size_t>(task.kernel)].function;
  call.arguments = nullptr;
  call.n_arguments = static_cast<int32_t>(task.buffers.size()) + 4;
  calls_.push_back(call);
}

}  // namespace hetcomp
