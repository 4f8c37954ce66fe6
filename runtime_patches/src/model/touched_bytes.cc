#include "model/touched_bytes.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "base/error.h"
#include "cpu/cpu_pool.h"
#include "cpu/cpu_program.h"

namespace hetcomp {
namespace {

constexpr size_t kAlignment = 128;
constexpr float kMadeUp = 0.75f;  // no denormal, whatever becomes of it

bool IsWhole(const Task& task, const Step& step) {
  const Range& range = step.range;
  return range.row_begin == 0 && range.row_end == task.rows && range.channel_begin == 0 &&
         range.channel_end == task.channels;
}

// The bytes of a tensor whose first is at `offset`.
ByteRect BytesOf(const Tensor& tensor, size_t offset) {
  if (tensor.pitch_bytes == 0) return {offset, tensor.size_bytes, tensor.size_bytes, 1};
  return {offset, tensor.row_bytes(), tensor.pitch_bytes, tensor.size_bytes / tensor.row_bytes()};
}

// Of these the part that lies in [begin, end) of the tensor without gaps, in whole rows.
ByteRect PartOf(const Tensor& tensor, size_t offset, size_t begin, size_t end) {
  end = std::min(end, tensor.size_bytes);
  if (begin >= end) return {offset, 0, 0, 1};
  if (tensor.pitch_bytes == 0) return {offset + begin, end - begin, end - begin, 1};
  const size_t width = tensor.row_bytes();
  const size_t first = begin / width;
  return {offset + first * tensor.pitch_bytes, width, tensor.pitch_bytes,
          (end + width - 1) / width - first};
}

// Memory for one execution of a task's kernel: a block for every tensor that owns memory.
class Scratch {
 public:
  Scratch(const Graph& graph, const Table& table, const Task& task, const char* constants)
      : graph_(graph), table_(table), task_(task), constants_(constants) {
    for (int tensor : task.buffers) {
      const Tensor& info = Info(tensor);
      if (info.constant) continue;
      const size_t bytes = Info(info.root).size_bytes + kAlignment;
      blocks_[info.root].resize((bytes + kAlignment - 1) / kAlignment);
    }
  }

  // The byte at which a tensor begins in the block of its owner.
  size_t OffsetOf(int tensor) const {
    return table_.offsets[static_cast<size_t>(tensor)] -
           table_.offsets[static_cast<size_t>(Info(tensor).root)];
  }

  char* Address(int tensor) {
    const Tensor& info = Info(tensor);
    const size_t offset = table_.offsets[static_cast<size_t>(tensor)];
    if (info.constant) return const_cast<char*>(constants_) + offset;
    return blocks_[info.root].front().bytes + OffsetOf(tensor);
  }

  // Made-up inputs; integers 0, a valid index anywhere. Then outputs of `fill`.
  void Fill(char fill) {
    for (auto& [root, lines] : blocks_) {
      char* data = lines.front().bytes;
      const size_t bytes = lines.size() * kAlignment;
      std::memset(data, 0, bytes);
      if (Info(root).dtype != "float32") continue;
      std::fill_n(reinterpret_cast<float*>(data), bytes / sizeof(float), kMadeUp);
    }
    ForOutputs([&](int tensor, const ByteRect& rect) {
      char* data = blocks_[Info(tensor).root].front().bytes;
      for (size_t row = 0; row < rect.rows; ++row) {
        std::memset(data + rect.offset + row * rect.pitch, fill, rect.width);
      }
    });
  }

  // Calls visit(tensor, its bytes in its owner's block).
  template <typename Visit>
  void ForOutputs(Visit visit) const {
    for (size_t i = static_cast<size_t>(task_.n_inputs); i < task_.buffers.size(); ++i) {
      const int tensor = task_.buffers[i];
      visit(tensor, BytesOf(Info(tensor), OffsetOf(tensor)));
    }
  }

 private:
  struct alignas(kAlignment) Line {
    char bytes[kAlignment];
  };

  const Tensor& Info(int tensor) const { return graph_.tensors[static_cast<size_t>(tensor)]; }

  const Graph& graph_;
  const Table& table_;
  const Task& task_;
  const char* const constants_;
  std::map<int, std::vector<Line>> blocks_;  // by the tensor that owns them
};

void Execute(const Graph& graph, const Task& task, const Range& range, Scratch* scratch) {
  std::vector<TVMFFIAny> arguments;
  for (int tensor : task.buffers) arguments.push_back(PointerArgument(scratch->Address(tensor)));
  for (int bound : {range.row_begin, range.row_end, range.channel_begin, range.channel_end}) {
    arguments.push_back(IntArgument(bound));
  }
  const TVMFFISafeCallType function = graph.kernels[static_cast<size_t>(task.kernel)].function;
  const CpuCall call{function, arguments.data(), static_cast<int32_t>(arguments.size()), 0};
  if (Invoke(call) != 0) ThrowInternal("a CPU kernel failed: " + TakeKernelError());
}

// The runs of `rect` where both blocks agree, as offsets in the block.
void AddEqualRuns(const ByteRect& rect, const char* one, const char* other, size_t shift,
                  std::vector<ByteRun>* runs) {
  for (size_t row = 0; row < rect.rows; ++row) {
    const size_t end = rect.offset + row * rect.pitch + rect.width;
    for (size_t at = end - rect.width; at < end;) {
      const bool equal = one[at] == other[at];
      const size_t begin = at;
      while (at < end && (one[at] == other[at]) == equal) ++at;
      if (equal) runs->push_back({begin + shift, at + shift});
    }
  }
}

}  // namespace

std::vector<ByteRect> ReadBytes(const Graph& graph, const Table& table, const Step& step) {
  const Task& task = graph.tasks[static_cast<size_t>(step.task)];
  std::vector<ByteRect> rects;
  for (size_t position = 0; position < static_cast<size_t>(task.n_inputs); ++position) {
    const size_t index = static_cast<size_t>(task.buffers[position]);
    const Tensor& tensor = graph.tensors[index];
    if (tensor.constant) continue;
    const size_t offset = table.offsets[index];
    if (position < task.row_spans.size() && task.row_spans[position].has_value()) {
      const RowSpan& span = *task.row_spans[position];
      const ByteRun run = span.OfTiles(step.range.row_begin, step.range.row_end);
      rects.push_back(PartOf(tensor, offset, run.begin, run.end));
    } else {
      rects.push_back(BytesOf(tensor, offset));
    }
  }
  return rects;
}

std::vector<ByteRect> WrittenBytes(const Graph& graph, const Table& table, const Step& step,
                                   const char* constants) {
  const Task& task = graph.tasks[static_cast<size_t>(step.task)];
  Scratch scratches[] = {{graph, table, task, constants}, {graph, table, task, constants}};
  if (IsWhole(task, step)) {
    std::vector<ByteRect> rects;
    scratches[0].ForOutputs([&](int tensor, const ByteRect&) {
      const size_t index = static_cast<size_t>(tensor);
      rects.push_back(BytesOf(graph.tensors[index], table.offsets[index]));
    });
    return rects;
  }
  const char fills[] = {0, static_cast<char>(0xff)};
  for (int i = 0; i < 2; ++i) {
    scratches[i].Fill(fills[i]);
    Execute(graph, task, step.range, &scratches[i]);
  }
  std::vector<ByteRun> runs;
  scratches[0].ForOutputs([&](int tensor, const ByteRect& rect) {
    const size_t inside = scratches[0].OffsetOf(tensor);
    AddEqualRuns(rect, scratches[0].Address(tensor) - inside, scratches[1].Address(tensor) - inside,
                 table.offsets[static_cast<size_t>(tensor)] - inside, &runs);
  });
  return RectsOf(runs);
}

}  // namespace hetcomp
