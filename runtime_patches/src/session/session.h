// One opened model: its memory, its step table made ready, and its way back to the CPU.
#ifndef HETCOMP_SESSION_H_
#define HETCOMP_SESSION_H_

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "cpu/cpu_program.h"
#include "cpu/pinning.h"
#include "cpu/shared_pool.h"
#include "doors/options.h"
#include "lanes/ahead_policy.h"
#include "lanes/gpu_lane.h"
#include "lanes/tier.h"
#include "model/arena.h"
#include "model/image.h"
#include "model/model.h"
#include "npu/npu_lane.h"
#include "opencl/gpu_channel.h"
#include "session/adapter.h"
#include "session/step_runner.h"
#include "session/step_stats.h"
#include "session/trace.h"

namespace hetcomp {

enum class Processor { kCpu, kGpu };

// Thread-safe: one mutex serialises everything. Inferences also have the turn of the pool of
// threads and that of the device's queue, taken in this order. No run may be in progress when a
// session is destroyed.
class Session {
 public:
  // Reads the image, chooses plan and device, and warms every kernel up. Throws Error.
  explicit Session(const Options& options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  std::string DescribeJson() { return std::string(image_.json); }
  const Graph& graph() const { return model_.graph; }

  // One inference over dense host tensors in the graph's order. If the GPU fails or is late, the
  // answer comes from the CPU, and the GPU is not used until a plan is chosen anew.
  void Run(const void* const* inputs, void* const* outputs);

  std::string StatusJson();

  // The core on which inferences run; -1 = any.
  int Core();

  // What the steps take, on average, against what was predicted; JSON as in README.md.
  std::string StatsJson();
  // The last steps as a Chrome trace. Throws Error(kInput) unless the option `trace` is on.
  std::string TraceJson();
  // Memory of an input or output, which is its own for as long as the session or the result lives:
  // inferences given this address copy nothing, whatever the plan, where the device shares memory
  // with the CPU. When the device is given up, a late kernel may still write there: outputs move
  // then, and the next call returns the new place.
  Block Buffer(const std::string& name);

  // Makes a table ready. SetTable throws Error(kDevice) if it needs the GPU and there is none;
  // UsePlan goes to the CPU then, as opening does.
  void SetTable(std::string_view table_json);
  void UsePlan(const std::string& name);

  // Runs the current table `reps` times with time stamps; JSON as in README.md. `inputs` may be
  // null: float inputs are then made up, others are zero.
  std::string ProfileJson(int reps, const void* const* inputs);

  // Times one task alone over a range; JSON list of microseconds per execution.
  std::string TimeTaskJson(int task, Processor processor, const Range& range, int warmup, int reps);

  // Times dispatch and waiting on the device alone; JSON as in README.md. Throws Error(kDevice)
  // where kernels and CPU do not see each other's flags.
  std::string LatenciesJson(int reps);

  // Times copies to every kind of memory that the device has, and back; JSON as in README.md.
  std::string CopiesJson(size_t bytes, int reps);

 private:
  // A table made ready to run. Programs must go before the memory they point into.
  struct Ready {
    explicit Ready(const Table& its_table)
        : table(its_table), times(table), gpu_spans(table.gpu.size()), stats(table) {}

    const Table table;
    Memory memory;
    std::unique_ptr<CpuProgram> cpu;
    std::unique_ptr<GpuLane> lane;    // null: a table without the GPU
    std::unique_ptr<NpuLane> npu;     // null: a table without the NPU, or there is none
    WalkTimes times;                  // of the latest inference
    std::vector<StepSpan> gpu_spans;  // likewise
    StepStats stats;
  };
  // A driver may compile every kernel once more when it first runs.
  static constexpr double kWarmUpLimitUs = 300e6;

  struct Cores {
    int cpu = -1;  // -1 = do not pin
    int gpu = -1;
  };

  // session.cc: opening, tables, status.
  void ResolveCores();
  void ResolveAffinity(const std::vector<int>& allowed);
  void MakePool();
  const Table& FindTable(const std::string& name) const;
  const Table& CpuTable() const;
  const Table& TableWithoutGpu(const Table& table) const;
  void PrepareGpu();
  std::unique_ptr<Ready> MakeReady(const Table& table, bool measured = false,
                                   double warm_up_us = kWarmUpLimitUs);
  std::unique_ptr<GpuLane> MakeLane(const Ready& ready, cl_program compiled, Tier tier);
  bool fine_memory() const { return tier_.memory == MemoryKind::kFine; }
  Tier MeasuringTier() const;
  void MakeGpuReady(Ready* ready, bool measured, double warm_up_us);
  void MakeMirror(size_t arena_bytes);
  Memory SvmMemory(size_t arena_bytes);
  void SetSvmConstants();
  Memory HostMemory(size_t arena_bytes);
  void InstallOrFallBack(const Table& table);
  void AllocateIo();

  // session_npu.cc: the NPU, and how it is given up.
  std::unique_ptr<NpuLane> MakeNpuLane(const Ready& ready);
  void CheckMemoryOfAll(const Table& table) const;
  void PrepareNpu();
  void NoteNpu(const std::string& why);
  void AfterNpu();
  void AddNpuStatus(JsonObject* status) const;

  // session_run.cc: inferences and the ways out of failures.
  int RunCore() const;
  ScopedPin PinCaller() const;
  WalkContext Context(const Ready& ready) const;
  void LeakDeviceMemory();
  void CopyIn(const void* const* inputs);
  void CopyOut(void* const* outputs) const;
  void CountRun(double time_ms);
  void RunCpu();
  bool RunGpu();
  void BeginOnGpu(Fault fault);
  std::string WalkWithGpu(Fault fault, WalkTimes* times);
  void AbandonDevice(const std::string& why);
  void LeaveGpu();
  struct Emptied {
    bool in_order = false;  // later commands find the device as they expect it
    bool ended = false;     // nothing runs on it any more
    bool all() const { return in_order && ended; }
  };
  bool Drains(double timeout_us);
  bool Ends(double timeout_us);
  Emptied EmptyQueue(double timeout_us);
  void Install(std::unique_ptr<Ready> next);
  void Retire(std::unique_ptr<Ready> last);
  [[noreturn]] void ThrowKernelFailure();

  // session_adapt.cc: tables that change with the load.
  void StartAdapting();
  void StopAdapting(const std::string& why);
  void LeakRungs();
  bool SharesMemory() const;
  void FollowAdapter();
  void TellAdapter();
  Observation Observed() const;
  std::string AdaptationJson() const;

  // session_record.cc: what is kept of every inference.
  void Record();
  void Mark(const std::string& text);

  // session_measure.cc.
  void FillInputs();
  void FillTaskInputs(const Ready& ready, int task) const;
  void FillTensor(const Memory& memory, const Table& table, int tensor) const;
  WalkTimes TimeOnce();
  std::vector<double> TimeOnCpu(const Table& table, int warmup, int reps);
  std::vector<double> TimeOnGpu(const Step& step, int copies, int warmup, int reps);
  double TimeBatch(GpuLane* lane);

  Options options_;
  Image image_;
  Model model_;
  Cores cores_;
  std::vector<int> affinity_;  // those of the cores that were asked for which are here; empty = any

  std::mutex mutex_;  // guards everything below
  std::unique_ptr<SharedPool> pool_;
  OpenClDevice* device_ = nullptr;  // lives as long as the process
  TierChoice tier_;                 // once there is a device
  std::unique_ptr<GpuChannel> channel_;
  Block host_arena_;
  size_t host_arena_bytes_ = 0;
  Block svm_arena_;
  size_t svm_arena_bytes_ = 0;
  Block svm_constants_;
  bool svm_constants_set_ = false;
  std::shared_ptr<Mirror> mirror_;  // null: the device shares memory, or there is none
  Block io_;                        // null: nobody has asked for a buffer
  bool io_is_svm_ = false;
  std::unique_ptr<NpuDriver> faulty_npu_;  // tests
  std::unique_ptr<NpuDevice> npu_;         // null: not needed so far, or missing
  std::string why_no_npu_;
  long long npu_fallbacks_ = 0;  // inferences of which the CPU computed regions of the NPU
  std::unique_ptr<Ready> ready_;
  std::unique_ptr<Adapter> adapter_;  // null: the table stays
  std::vector<const Table*> ladder_;  // the tables that the adapter chooses from
  // Those of them that have run so far, but the one in use, rung_: that is ready_.
  std::vector<std::unique_ptr<Ready>> rungs_;
  size_t rung_ = 0;
  std::string requested_plan_;
  std::string why_no_gpu_;
  bool gave_up_ = false;  // the device, and has not used it since
  AheadPolicy ahead_;
  std::unique_ptr<Trace> trace_;  // null: off
  Fault fault_ = Fault::kNone;    // strikes at the next inference on the GPU
  long long runs_ = 0;
  long long fallbacks_ = 0;  // inferences that the CPU had to repeat
  long long timeouts_ = 0;   // of these, because the GPU was late
  double open_ms_ = 0.0;
  double warmup_ms_ = 0.0;
  double first_run_ms_ = 0.0;
  double later_runs_ms_ = 0.0;
};

}  // namespace hetcomp

#endif  // HETCOMP_SESSION_H_
