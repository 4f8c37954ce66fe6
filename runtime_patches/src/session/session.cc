#include "session/session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/keep.h"
#include "base/notice.h"
#include "cpu/pinning.h"
#include "cpu/workspace.h"
#include "lanes/ahead_lane.h"
#include "lanes/mailbox_lane.h"
#include "lanes/mirror_lane.h"
#include "lanes/ready_lane.h"
#include "lanes/tickets.h"
#include "model/io_memory.h"
#include "opencl/gpu_slices.h"

namespace hetcomp {

Session::Session(const Options& options)
    : options_(options),
      image_(ReadImage()),
      model_(ParseModel(image_.json, image_.constants_bytes)),
      ahead_(options_.ahead),
      fault_(options_.fault) {
  const double start_us = NowUs();
  if (options_.trace) trace_ = std::make_unique<Trace>(start_us);
  if (options_.verify) CheckConstants(image_);
  FillKernelSlots();
  ResolveCores();
  const Table& table = options_.plan.empty() ? model_.tables.front() : FindTable(options_.plan);
  if (table.gpu.empty()) MakePool();
  InstallOrFallBack(table);
  if (pool_ == nullptr) MakePool();
  StartAdapting();
  open_ms_ = (NowUs() - start_us) * 1e-3;
}

Session::~Session() {
  if (channel_ == nullptr) return;
  ScopedPin pin(device_->host_core());
  const QueueTurn turn(device_->queue(), options_.priority);
  if (EmptyQueue(options_.timeout_ms * 1e3).ended) {
    rungs_.clear();
    ready_.reset();
    channel_.reset();
    return;
  }
  // A kernel may still write to this memory: leak it.
  channel_->Abandon();
  KeepForEver(std::move(channel_));
  KeepForEver(std::move(ready_));
  LeakRungs();
  LeakDeviceMemory();
}

const Table& Session::FindTable(const std::string& name) const {
  std::string names;
  for (const Table& table : model_.tables) {
    if (table.name == name) return table;
    names += (names.empty() ? "" : ", ") + table.name;
  }
  ThrowInput("the model has no plan \"" + name + "\"; it has: " + names);
}

const Table& Session::CpuTable() const {
  for (const Table& table : model_.tables) {
    if (IsCpuTable(table)) return table;
  }
  ThrowInternal("the model has lost its plan \"cpu\"");
}

// What takes the place of `table` without the GPU: one for the NPU, if that had a part.
const Table& Session::TableWithoutGpu(const Table& table) const {
  const auto serves = [](const Table& other) { return other.gpu.empty() && !other.npu.empty(); };
  const auto found = std::find_if(model_.tables.begin(), model_.tables.end(), serves);
  return table.npu.empty() || found == model_.tables.end() ? CpuTable() : *found;
}

// Call with mutex_ held (or from the constructor). Throws Error(kDevice).
void Session::PrepareGpu() {
  if (options_.cpu_only()) {
    throw Error(ErrorKind::kDevice, "OpenCL is switched off (device = off or tier = cpu)");
  }
  if (device_ == nullptr) {
    DeviceRequest request;
    request.library = options_.opencl_library;
    request.pin = options_.pin;
    request.cpu_core = cores_.cpu;
    request.gpu_core = cores_.gpu;
    device_ = &OpenClDevice::Get(request);
  }
  if (channel_ != nullptr && channel_->abandoned()) KeepForEver(std::move(channel_));
  if (channel_ != nullptr && !device_->bad()) return;
  const QueueTurn turn(device_->queue(), options_.priority);
  if (device_->bad() && !device_->TakeBack()) {
    throw Error(ErrorKind::kDevice,
                device_->choice().name + " failed earlier and has not recovered");
  }
  if (channel_ != nullptr) return;
  tier_ = ChooseTier(options_.tier, options_.memory, device_->probe().tiers);
  // A kernel that waits for the CPU keeps others off the device as one that computes does.
  const bool short_launches = options_.gpu_slice_us > 0.0 && !options_.tier.has_value();
  if (short_launches && tier_.tier == Tier::kSvmAhead) tier_.tier = Tier::kSvm;
  ReleaseConstants(image_);  // the driver's compiler takes much memory for a while
  channel_ = std::make_unique<GpuChannel>(
      device_, device_->Program(image_.opencl_source, tier_.memory, options_.cache).program(),
      tier_, options_.timeout_ms, options_.epoch_start);
  gave_up_ = false;
}

Memory Session::SvmMemory(size_t arena_bytes) {
  if (svm_constants_ == nullptr) {
    svm_constants_ = UnsetSvmBlock(image_.constants_bytes, *device_);
    svm_constants_set_ = false;
  }
  // One arena for all tables, of which one runs at a time.
  for (const Table* table : ladder_) arena_bytes = std::max(arena_bytes, table->arena_bytes);
  if (svm_arena_ == nullptr || svm_arena_bytes_ < arena_bytes) {
    svm_arena_ = SvmBlock(arena_bytes, *device_);
    svm_arena_bytes_ = arena_bytes;
  }
  return {svm_arena_, svm_arena_bytes_, svm_constants_, nullptr, io_is_svm_ ? io_ : nullptr};
}

// Call before anything runs, and after the driver has compiled.
void Session::SetSvmConstants() {
  if (svm_constants_ == nullptr || svm_constants_set_) return;
  GiveBackFreed();
  MoveConstants(image_, svm_constants_.get());
  svm_constants_set_ = true;
}

Memory Session::HostMemory(size_t arena_bytes) {
  if (host_arena_ == nullptr || host_arena_bytes_ < arena_bytes) {
    host_arena_ = HostBlock(arena_bytes);
    host_arena_bytes_ = arena_bytes;
  }
  // Where the device has them already they are not read from the file once more.
  const bool there = svm_constants_ != nullptr && svm_constants_set_;
  Block constants = there ? svm_constants_ : ConstantsInImage(image_);
  return {host_arena_, host_arena_bytes_, constants, nullptr, io_};
}

void Session::MakeMirror(size_t arena_bytes) {
  if (mirror_ != nullptr && mirror_->arena().bytes() >= arena_bytes) return;
  mirror_ = std::make_shared<Mirror>(device_->cl(), tier_.memory, image_, arena_bytes,
                                     channel_->timeout_us());
}

// `measured`: the end of every step counts, not that of the whole.
std::unique_ptr<Session::Ready> Session::MakeReady(const Table& table, bool measured,
                                                   double warm_up_us) {
  if (!table.gpu.empty()) PrepareGpu();
  CheckMemoryOfAll(table);
  const bool tickets = table.gpu.empty() || fine_memory();
  const Table shared = tickets ? table : WithoutTickets(table, model_.graph);
  const bool sliced = options_.gpu_slice_us > 0.0 && !measured;
  auto ready = std::make_unique<Ready>(
      sliced ? SliceGpuSteps(shared, model_.graph, options_.gpu_slice_us) : shared);
  if (table.gpu.empty()) {
    ready->memory = SharesMemory() ? SvmMemory(table.arena_bytes) : HostMemory(table.arena_bytes);
  } else {
    MakeGpuReady(ready.get(), measured, warm_up_us);
  }
  SetSvmConstants();
  ready->npu = MakeNpuLane(*ready);
  ready->cpu =
      std::make_unique<CpuProgram>(model_.graph, ready->table, ready->memory, options_.threads);
  return ready;
}

void Session::MakeGpuReady(Ready* ready, bool measured, double warm_up_us) {
  const Table& table = ready->table;
  ScopedPin pin(device_->host_core());
  const QueueTurn turn(device_->queue(), options_.priority);
  if (fine_memory()) {
    ready->memory = SvmMemory(table.arena_bytes);
    ready->memory.tickets = SvmBlock(CountTicketLines(table) * sizeof(TicketLine), *device_);
  } else {
    ready->memory = HostMemory(table.arena_bytes);
    ready->memory.io = nullptr;
    MakeMirror(table.arena_bytes);
  }
  CachedProgram& program = device_->Program(image_.opencl_source, tier_.memory, options_.cache);
  const Tier tier = measured ? MeasuringTier() : tier_.tier;
  ready->lane = MakeLane(*ready, program.program(), tier);
  const double start_us = NowUs();
  try {
    ready->lane->WarmUp(warm_up_us);
  } catch (const Error&) {
    if (device_->bad()) {  // its kernels may be running still
      KeepForEver(ready->memory.tickets);
      KeepForEver(std::move(ready->lane));
    }
    throw;
  }
  warmup_ms_ += (NowUs() - start_us) * 1e-3;
  program.Keep();
}

// Call with the queue's turn.
std::unique_ptr<GpuLane> Session::MakeLane(const Ready& ready, cl_program compiled, Tier tier) {
  auto program =
      std::make_unique<GpuProgram>(model_.graph, ready.table, ready.memory, mirror_.get(), compiled,
                                   channel_.get(), tier, options_.chain);
  if (!fine_memory()) {
    return std::make_unique<MirrorLane>(
        ready.table, std::move(program), channel_.get(), tier == Tier::kFinish, mirror_,
        FindCrossings(model_.graph, ready.table, image_.constants), ready.memory.arena.get());
  }
  switch (tier) {
    case Tier::kMailbox:
      return std::make_unique<MailboxLane>(ready.table, std::move(program), channel_.get());
    case Tier::kSvmAhead:
      return std::make_unique<AheadLane>(ready.table, std::move(program), channel_.get());
    case Tier::kSvm:
      return std::make_unique<FlagLane>(ready.table, std::move(program), channel_.get());
    case Tier::kEvent:
    case Tier::kFinish:
      return std::make_unique<EventLane>(ready.table, std::move(program), channel_.get(),
                                         tier == Tier::kFinish);
    case Tier::kCpu:
      break;
  }
  ThrowInternal("tier cpu has no lane for a device");
}

// A kernel's flag tells its end more exactly than an event's status.
Tier Session::MeasuringTier() const {
  if (UsesGates(tier_.tier)) return Tier::kSvmAhead;
  if (!fine_memory()) return Tier::kEvent;
  return device_->probe().tiers.no_flags.empty() ? Tier::kSvm : Tier::kEvent;
}

void Session::InstallOrFallBack(const Table& table) {
  requested_plan_ = table.name;
  why_no_gpu_.clear();
  try {
    Install(MakeReady(table));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kDevice) throw;
    why_no_gpu_ = error.what();
    const Table& instead = TableWithoutGpu(table);
    if (!options_.cpu_only()) {
      const char* there = instead.npu.empty() ? "the CPU alone" : "CPU and NPU";
      NoticeOnce(why_no_gpu_ + "; running on " + there, options_.quiet);
    }
    Install(MakeReady(instead));
  }
}

void Session::AllocateIo() {
  const bool on_device = tier_.tier != Tier::kCpu && !device_->bad();
  io_is_svm_ = on_device && fine_memory();
  io_ = io_is_svm_ ? SvmBlock(model_.graph.io_bytes, *device_) : HostBlock(model_.graph.io_bytes);
}

Block Session::Buffer(const std::string& name) {
  const int tensor = FindIo(model_.graph, name);
  std::lock_guard<std::mutex> lock(mutex_);
  if (io_ == nullptr) {
    AllocateIo();
    Install(MakeReady(Table(ready_->table)));
    for (std::unique_ptr<Ready>& rung : rungs_) Retire(std::move(rung));  // they point elsewhere
  }
  const Tensor& info = model_.graph.tensors[static_cast<size_t>(tensor)];
  if (info.constant) return Block(io_, io_.get() + info.io_offset);
  Memory own;
  own.io = io_;
  return Block(io_, own.Address(model_.graph, ready_->table, tensor));
}

void Session::SetTable(std::string_view table_json) {
  const Table table = ParseTable(table_json, model_.graph);
  std::lock_guard<std::mutex> lock(mutex_);
  StopAdapting("another table is asked for");
  Install(MakeReady(table));
  requested_plan_ = table.name;
}

void Session::UsePlan(const std::string& name) {
  const Table& table = FindTable(name);
  std::lock_guard<std::mutex> lock(mutex_);
  StopAdapting("another plan is asked for");
  InstallOrFallBack(table);
  StartAdapting();
}

}  // namespace hetcomp
