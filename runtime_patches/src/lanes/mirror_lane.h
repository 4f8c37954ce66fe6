// Tiers event and finish where the device has memory of its own: copies what crosses.
#ifndef HETCOMP_MIRROR_LANE_H_
#define HETCOMP_MIRROR_LANE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "lanes/ready_lane.h"
#include "model/crossings.h"
#include "opencl/mirror.h"

namespace hetcomp {

// `arena` is the CPU's, of the mirror's layout.
class MirrorLane final : public EventLane {
 public:
  MirrorLane(const Table& table, std::unique_ptr<GpuProgram> program, GpuChannel* channel,
             bool sleep, std::shared_ptr<Mirror> mirror, Crossings crossings, char* arena);

  bool Begin(bool ahead, Fault fault) override;
  // Such steps have ended whose results the CPU has.
  uint32_t Finished() override;

 private:
  void Launch(size_t index, Fault fault, cl_event* event) override;

  const std::shared_ptr<Mirror> mirror_;
  const Crossings crossings_;
  char* const arena_;
  uint32_t fetched_ = 0;  // steps whose results the CPU has
};

}  // namespace hetcomp

#endif  // HETCOMP_MIRROR_LANE_H_
