#include "opencl/gpu_program.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "lanes/tickets.h"

namespace hetcomp {
namespace {

constexpr cl_uint kSyncAfterTensors = 4;  // behind the tile ranges
constexpr cl_uint kTicketsAfterSync = 3;  // behind `wait` and `signal`
constexpr size_t kMaxTensors = 128;       // of a task

// One work-item runs all steps: only where no other could help, and no kernel wants more.
bool CanChain(const Graph& graph, const OpenClDevice& device) {
  const auto alone = [](const Kernel& kernel) { return kernel.items[0] * kernel.items[1] == 1; };
  return device.one_unit() && std::all_of(graph.kernels.begin(), graph.kernels.end(), alone);
}

// Of a step without tickets any line will do.
int TicketLineIndex(const Table& table, const Step& step) {
  return step.ticket == 0 ? 0 : TicketLineOf(table, step.task);
}

template <typename T>
Block SvmCopy(const std::vector<T>& values, const OpenClDevice& device) {
  const size_t size_bytes = values.size() * sizeof(T);
  Block block = SvmBlock(size_bytes, device);
  std::memcpy(block.get(), values.data(), size_bytes);
  return block;
}

}  // namespace

GpuProgram::GpuProgram(const Graph& graph, const Table& table, const Memory& memory,
                       const Mirror* mirror, cl_program program, GpuChannel* channel, Tier tier,
                       bool chain)
    : channel_(channel),
      tier_(tier),
      cl_(channel->device().cl()),
      n_steps_(static_cast<uint32_t>(table.gpu.size())) {
  if (chain && UsesGates(tier) && CanChain(graph, channel->device())) {
    launches_.push_back(PrepareChain(graph, table, memory, program));
    return;
  }
  if (tier == Tier::kMailbox) {
    throw Error(ErrorKind::kDevice,
                "tier mailbox: one launch cannot run all steps here; it can where the device is a "
                "single core, kernels have one work-item, and the option chain is not off");
  }
  launches_.reserve(table.gpu.size());
  int ordinal = 0;
  for (const Step& step : table.gpu) {
    launches_.push_back(Prepare(graph, table, memory, mirror, program, step, ++ordinal));
  }
}

// A kernel's arguments: its tensors, the tile ranges, and how it waits, signals and takes tickets.
GpuProgram::Launch GpuProgram::Prepare(const Graph& graph, const Table& table, const Memory& memory,
                                       const Mirror* mirror, cl_program program, const Step& step,
                                       int ordinal) {
  const Task& task = graph.tasks[static_cast<size_t>(step.task)];
  const Range& range = step.range;
  const Kernel& kernel = graph.kernels[static_cast<size_t>(task.kernel)];
  Launch launch;
  launch.kernel = CreateKernel(cl_, program, kernel.symbol);
  CheckWorkGroup(kernel, launch.kernel.get());
  cl_uint index = mirror == nullptr ? SetShared(graph, table, memory, step, launch.kernel.get())
                                    : SetMirrored(graph, table, *mirror, step, launch.kernel.get());
  for (int bound : {range.row_begin, range.row_end, range.channel_begin, range.channel_end}) {
    SetIntArgument(cl_, launch.kernel.get(), index++, bound);
  }
  launch.wait_index = ++index;  // behind the sync block
  launch.wait = UsesGates(tier_) ? step.wait : 0;
  SetIntArgument(cl_, launch.kernel.get(), index++, launch.wait);
  SetIntArgument(cl_, launch.kernel.get(), index++, UsesFlags(tier_) && step.signal ? ordinal : 0);
  SetIntArgument(cl_, launch.kernel.get(), ++index, step.ticket);
  SetIntArgument(cl_, launch.kernel.get(), ++index, step.leave);
  Divide(kernel, range, &launch);
  return launch;
}

// Sets all pointers; returns the number of tensors.
cl_uint GpuProgram::SetShared(const Graph& graph, const Table& table, const Memory& memory,
                              const Step& step, cl_kernel kernel) {
  cl_uint index = 0;
  for (int tensor : graph.tasks[static_cast<size_t>(step.task)].buffers) {
    SetPointerArgument(cl_, kernel, index++, memory.Address(graph, table, tensor));
  }
  const cl_uint sync = index + kSyncAfterTensors;
  SetPointerArgument(cl_, kernel, sync, channel_->sync());
  auto* lines = reinterpret_cast<TicketLine*>(memory.tickets.get());
  SetPointerArgument(cl_, kernel, sync + kTicketsAfterSync, lines + TicketLineIndex(table, step));
  return index;
}

// The same. The sync block says that the kernel may run, and where its tensors lie.
cl_uint GpuProgram::SetMirrored(const Graph& graph, const Table& table, const Mirror& mirror,
                                const Step& step, cl_kernel kernel) {
  struct {
    SyncBlock block;
    uint32_t shifts[kMaxTensors];
  } sync{};
  cl_uint index = 0;
  for (int tensor : graph.tasks[static_cast<size_t>(step.task)].buffers) {
    const size_t offset = table.offsets[static_cast<size_t>(tensor)];
    if (index == kMaxTensors || offset > UINT32_MAX) {
      throw Error(ErrorKind::kDevice, "too many or too large tensors for a device's buffers");
    }
    sync.shifts[index] = static_cast<uint32_t>(offset);
    mirror.BlockOf(graph.tensors[static_cast<size_t>(tensor)]).SetArgument(kernel, index, offset);
    ++index;
  }
  Store(&sync.block.control.run, 1);
  syncs_.push_back(mirror.Allocate(sizeof(sync), &sync));
  syncs_.back()->SetArgument(kernel, index + kSyncAfterTensors, 0);
  syncs_.back()->SetArgument(kernel, index + kSyncAfterTensors + kTicketsAfterSync, 0);
  return index;
}

GpuProgram::Launch GpuProgram::PrepareChain(const Graph& graph, const Table& table,
                                            const Memory& memory, cl_program program) {
  // As the kernel reads them, see hetcomp/codegen/opencl_text.py.
  std::vector<int32_t> steps;
  std::vector<uint64_t> pointers;
  int ordinal = 0;
  for (const Step& step : table.gpu) {
    const Task& task = graph.tasks[static_cast<size_t>(step.task)];
    const Range& range = step.range;
    ++ordinal;
    steps.insert(steps.end(), {task.kernel, static_cast<int32_t>(pointers.size()), range.row_begin,
                               range.row_end, range.channel_begin, range.channel_end, step.wait,
                               step.signal ? ordinal : 0, step.ticket, TicketLineIndex(table, step),
                               step.leave});
    for (int tensor : task.buffers) {
      pointers.push_back(reinterpret_cast<uint64_t>(memory.Address(graph, table, tensor)));
    }
  }
  chain_steps_ = SvmCopy(steps, channel_->device());
  chain_pointers_ = SvmCopy(pointers, channel_->device());
  Launch launch;
  launch.kernel = CreateKernel(cl_, program, "hetcomp_chain");
  cl_uint index = 0;
  SetPointerArgument(cl_, launch.kernel.get(), index++, chain_steps_.get());
  SetPointerArgument(cl_, launch.kernel.get(), index++, chain_pointers_.get());
  SetIntArgument(cl_, launch.kernel.get(), index++, ordinal);
  SetPointerArgument(cl_, launch.kernel.get(), index++, memory.tickets.get());
  SetPointerArgument(cl_, launch.kernel.get(), index++, channel_->sync());
  launch.wait_index = index;
  launch.wait = 0;
  SetIntArgument(cl_, launch.kernel.get(), index++, launch.wait);
  SetStay(launch, 0, 0);
  launch.global[0] = launch.global[1] = launch.local[0] = launch.local[1] = 1;
  return launch;
}

// For the launch of all steps.
void GpuProgram::SetStay(const Launch& launch, uint32_t gate, int rounds) {
  SetIntArgument(cl_, launch.kernel.get(), launch.wait_index + 1, static_cast<int>(gate));
  SetIntArgument(cl_, launch.kernel.get(), launch.wait_index + 2, rounds);
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

cl_int GpuProgram::Submit(const Launch& launch, cl_event* event) {
  return cl_.api->clEnqueueNDRangeKernel(cl_.queue, launch.kernel.get(), 2, nullptr, launch.global,
                                         launch.local, 0, nullptr, event);
}

void GpuProgram::EnqueueWithoutBodies() {
  for (const Launch& launch : launches_) {
    SetIntArgument(cl_, launch.kernel.get(), launch.wait_index, -1);
    HETCOMP_CL_CHECK(Submit(launch, nullptr));
    SetIntArgument(cl_, launch.kernel.get(), launch.wait_index, launch.wait);
  }
}

void GpuProgram::Enqueue(size_t index, Fault fault, cl_event* event) {
  const size_t fault_at = launches_.size() > 1 ? 1 : 0;
  const bool fail = fault == Fault::kEnqueue && index == fault_at;
  const double begin_us = NowUs();
  HETCOMP_CL_CHECK(fail ? CL_OUT_OF_RESOURCES : Submit(launches_[index], event));
  const double took_us = NowUs() - begin_us;
  if (took_us <= channel_->timeout_us()) return;
  throw TimeoutError("clEnqueueNDRangeKernel took " + std::to_string(std::lround(took_us * 1e-3)) +
                     " ms");
}

void GpuProgram::EnqueueStaying(uint32_t gate, int rounds, Fault fault) {
  SetStay(launches_.front(), gate, rounds);
  Enqueue(0, fault, nullptr);
}

}  // namespace hetcomp
