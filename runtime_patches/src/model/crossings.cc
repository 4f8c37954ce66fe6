#include "model/crossings.h"

#include <algorithm>
#include <cstdint>

#include "model/byte_owners.h"
#include "model/touched_bytes.h"

namespace hetcomp {
namespace {

bool ByBegin(const ByteRun& one, const ByteRun& other) { return one.begin < other.begin; }

// Runs both lists of steps in an order that their waits allow, and notes what each step needs.
class Replay {
 public:
  Replay(const Graph& graph, const Table& table, const char* constants)
      : graph_(graph),
        table_(table),
        constants_(constants),
        owners_(table.arena_bytes),
        to_gpu_(table.gpu.size()),
        to_cpu_(table.gpu.size()) {}

  Crossings Run() {
    // CheckTable has seen that this ends.
    while (cpu_.done < table_.cpu.size() || gpu_.done < table_.gpu.size()) {
      while (CanRun(table_.cpu, cpu_, gpu_)) Execute(table_.cpu, /*gpu=*/false, &cpu_);
      while (CanRun(table_.gpu, gpu_, cpu_)) Execute(table_.gpu, /*gpu=*/true, &gpu_);
    }
    for (int output : graph_.outputs) {
      const size_t index = static_cast<size_t>(output);
      const Tensor& tensor = graph_.tensors[index];
      if (tensor.constant) continue;
      Need({table_.offsets[index], tensor.size_bytes, tensor.size_bytes, 1}, /*gpu=*/false, 0,
           static_cast<uint32_t>(table_.gpu.size()));
    }
    return {Rects(&to_gpu_), Rects(&to_cpu_)};
  }

 private:
  struct Lane {
    size_t done = 0;
    uint32_t waited = 0;  // steps of the other processor that have ended for sure
  };

  static bool CanRun(const std::vector<Step>& steps, const Lane& lane, const Lane& other) {
    return lane.done < steps.size() && static_cast<size_t>(steps[lane.done].wait) <= other.done;
  }

  void Execute(const std::vector<Step>& steps, bool gpu, Lane* lane) {
    const Step& step = steps[lane->done];
    lane->waited = std::max(lane->waited, static_cast<uint32_t>(step.wait));
    for (const ByteRect& rect : ReadBytes(graph_, table_, step)) {
      Need(rect, gpu, lane->done, lane->waited);
    }
    ++lane->done;
    const ByteOwner owner{gpu, static_cast<uint32_t>(lane->done), IsTwice(step)};
    for (const ByteRect& rect : WrittenBytes(graph_, table_, step, constants_)) {
      owners_.Write(rect, owner);
    }
  }

  // Whether both processors compute the same, so that both have it.
  bool IsTwice(const Step& step) const {
    const auto same = [&](const Step& other) {
      return other.task == step.task && SameRange(other.range, step.range);
    };
    return std::any_of(table_.cpu.begin(), table_.cpu.end(), same) &&
           std::any_of(table_.gpu.begin(), table_.gpu.end(), same);
  }

  // What lies behind `waited` is not read in truth: ReadBytes may say too much.
  void Need(const ByteRect& rect, bool gpu, size_t index, uint32_t waited) {
    owners_.Read(rect, [&](ByteRun run, ByteOwner& owner) {
      if (owner.gpu == gpu || owner.shared || owner.ordinal > waited) return;
      owner.shared = true;
      (gpu ? to_gpu_[index] : to_cpu_[owner.ordinal - 1]).push_back(run);
    });
  }

  static std::vector<std::vector<ByteRect>> Rects(std::vector<std::vector<ByteRun>>* runs) {
    std::vector<std::vector<ByteRect>> rects;
    for (std::vector<ByteRun>& list : *runs) {
      std::sort(list.begin(), list.end(), ByBegin);
      rects.push_back(RectsOf(list));
    }
    return rects;
  }

  const Graph& graph_;
  const Table& table_;
  const char* const constants_;
  ByteOwners owners_;
  Lane cpu_;
  Lane gpu_;
  std::vector<std::vector<ByteRun>> to_gpu_;  // by the step that reads
  std::vector<std::vector<ByteRun>> to_cpu_;  // by the step that has written
};

}  // namespace

Crossings FindCrossings(const Graph& graph, const Table& table, const char* constants) {
  return Replay(graph, table, constants).Run();
}

}  // namespace hetcomp
