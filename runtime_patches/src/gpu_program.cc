#include "gpu_program.h"

#include <algorithm>

#include "error.h"

namespace hetcomp {

namespace {

// The CPU's epoch that a launch waits for. The CPU's step 0 is "all is enqueued" (kGateSteps): the
// first launch holds the queue until then, or the device would run dry and fall asleep between
// short kernels, and every enqueue would have to wake it.
int WaitArgument(const Step& step, int ordinal) {
  const int gate = static_cast<int>(kGateSteps);
  return step.wait > 0 ? step.wait + gate : ordinal == 1 ? gate : 0;
}

}  // namespace

GpuProgram::GpuProgram(const Graph& graph, const Table& table, const Memory& memory,
                       cl_program program, GpuChannel* channel)
    : channel_(channel), cl_(channel->device().cl()) {
  launches_.reserve(table.gpu.size());
  int ordinal = 0;
  for (const Step& step : table.gpu) {
    launches_.push_back(Prepare(graph, table, memory, program, step, ++ordinal));
  }
}

GpuProgram::~GpuProgram() {
  for (const Launch& launch : launches_) cl_.api->clReleaseKernel(launch.kernel);
}

GpuProgram::Launch GpuProgram::Prepare(const Graph& graph, const Table& table, const Memory& memory,
                                       cl_program program, const Step& step, int ordinal) {
  const Task& task = graph.tasks[static_cast<size_t>(step.task)];
  const Range& range = step.range;
  const Kernel& kernel = graph.kernels[static_cast<size_t>(task.kernel)];
  Launch launch;
  launch.kernel = CreateKernel(cl_, program, kernel.symbol);
  CheckWorkGroup(kernel, launch.kernel);
  cl_uint index = 0;
  for (int tensor : task.buffers) {
    SetPointerArgument(cl_, launch.kernel, index++, memory.Address(graph, table, tensor));
  }
  for (int bound : {range.row_begin, range.row_end, range.channel_begin, range.channel_end}) {
    SetIntArgument(cl_, launch.kernel, index++, bound);
  }
  SetPointerArgument(cl_, launch.kernel, index++, channel_->sync());
  launch.wait_index = index;
  launch.wait = WaitArgument(step, ordinal);
  SetIntArgument(cl_, launch.kernel, index++, launch.wait);
  SetIntArgument(cl_, launch.kernel, index++, step.signal ? ordinal : 0);
  Divide(kernel, range, &launch);
  return launch;
}

// Work-groups of the launch. Where an item is a group, a group takes a run of tiles.
void GpuProgram::Divide(const Kernel& kernel, const Range& range, Launch* launch) const {
  const int extents[] = {range.row_end - range.row_begin, range.channel_end - range.channel_begin};
  if (kernel.items[0] * kernel.items[1] == 1) {
    const size_t tiles = static_cast<size_t>(extents[0]) * static_cast<size_t>(extents[1]);
    launch->global[0] = std::min(tiles, channel_->device().useful_groups());
    launch->global[1] = launch->local[0] = launch->local[1] = 1;
    return;
  }
  for (size_t i = 0; i < 2; ++i) {
    const int groups = (extents[i] + kernel.tiles[i] - 1) / kernel.tiles[i];
    launch->local[i] = static_cast<size_t>(kernel.items[i]);
    launch->global[i] = static_cast<size_t>(groups) * launch->local[i];
  }
}

// A device may grant a kernel fewer work-items than its limit, by the registers that it uses.
void GpuProgram::CheckWorkGroup(const Kernel& kernel, cl_kernel object) const {
  const size_t wanted = static_cast<size_t>(kernel.items[0]) * static_cast<size_t>(kernel.items[1]);
  if (wanted == 1) return;
  size_t granted = 0;
  HETCOMP_CL_CHECK(cl_.api->clGetKernelWorkGroupInfo(object, cl_.device, CL_KERNEL_WORK_GROUP_SIZE,
                                                     sizeof(granted), &granted, nullptr));
  if (wanted <= granted) return;
  throw Error(ErrorKind::kDevice, "kernel " + kernel.symbol + " wants " + std::to_string(wanted) +
                                      " work-items in a group, the device grants " +
                                      std::to_string(granted) + ": compile for this device");
}

cl_int GpuProgram::Enqueue(const Launch& launch) {
  return cl_.api->clEnqueueNDRangeKernel(cl_.queue, launch.kernel, 2, nullptr, launch.global,
                                         launch.local, 0, nullptr, nullptr);
}

void GpuProgram::WarmUp(double limit_us) {
  for (const Launch& launch : launches_) {
    SetIntArgument(cl_, launch.kernel, launch.wait_index, -1);
    HETCOMP_CL_CHECK(Enqueue(launch));
    SetIntArgument(cl_, launch.kernel, launch.wait_index, launch.wait);
  }
  if (channel_->Drain(limit_us)) return;
  channel_->Abandon();
  throw Error(ErrorKind::kDevice, "the device did not finish warming up");
}

void GpuProgram::EnqueueAll(Fault fault) {
  if (fault == Fault::kWedge) channel_->EnqueueWedge();
  const size_t fault_at = launches_.size() > 1 ? 1 : 0;
  for (size_t i = 0; i < launches_.size(); ++i) {
    const bool fail = fault == Fault::kEnqueue && i == fault_at;
    HETCOMP_CL_CHECK(fail ? CL_OUT_OF_RESOURCES : Enqueue(launches_[i]));
    if (i == 0) HETCOMP_CL_CHECK(cl_.api->clFlush(cl_.queue));
  }
  HETCOMP_CL_CHECK(cl_.api->clFlush(cl_.queue));
}

}  // namespace hetcomp
