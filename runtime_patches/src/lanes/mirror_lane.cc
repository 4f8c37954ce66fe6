#include "lanes/mirror_lane.h"

#include <utility>

namespace hetcomp {

MirrorLane::MirrorLane(const Table& table, std::unique_ptr<GpuProgram> program, GpuChannel* channel,
                       bool sleep, std::shared_ptr<Mirror> mirror, Crossings crossings, char* arena)
    : EventLane(table, std::move(program), channel, sleep),
      mirror_(std::move(mirror)),
      crossings_(std::move(crossings)),
      arena_(arena) {}

bool MirrorLane::Begin(bool ahead, Fault fault) {
  fetched_ = 0;
  return EventLane::Begin(ahead, fault);
}

void MirrorLane::Launch(size_t index, Fault fault, cl_event* event) {
  DeviceBlock& block = mirror_->arena();
  block.Upload(crossings_.to_gpu[index], arena_);
  const auto& back = crossings_.to_cpu[index];
  const bool copied = block.downloads_ahead() && !back.empty();
  program_->Enqueue(index, fault, copied ? nullptr : event);
  if (copied) block.EnqueueDownload(back, arena_, event);
}

uint32_t MirrorLane::Finished() {
  const uint32_t finished = EventLane::Finished();
  if (mirror_->arena().downloads_ahead()) return finished;
  for (; fetched_ < finished; ++fetched_) {
    mirror_->arena().Download(crossings_.to_cpu[fetched_], arena_);
  }
  return finished;
}

}  // namespace hetcomp
