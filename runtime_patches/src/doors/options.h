// What the caller may choose when opening a model.
#ifndef HETCOMP_OPTIONS_H_
#define HETCOMP_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lanes/tier.h"
#include "npu/npu_htp.h"
#include "opencl/cached_program.h"

namespace hetcomp {

enum class PinMode { kAuto, kOn, kOff };

// Whether an inference is enqueued before it is asked for, see ahead_policy.h.
enum class AheadMode { kAuto, kOn, kOff };

// Whether tables change with the load, see adapter.h: kAuto where the plan is the file's choice.
enum class AdaptMode { kAuto, kOn, kOff };

// From inference `from_run` on, the processors seem so much slower than predicted.
struct PretendedLoad {
  long long from_run;
  double cpu_factor;
  double gpu_factor;
};

// A deliberate failure, so that tests can see the way out of it; strikes once.
enum class Fault { kNone, kWedge, kEnqueue };

// The same for the NPU's driver, every time: it is not there, refuses every region or has no memory
// for it, fails at the first inference or at the second, does not answer, runs out of memory, does
// not answer for longer than closing waits.
enum class NpuFault { kNone, kMissing, kRefuse, kMemory, kFail, kDie, kHang, kExhaust, kStuck };

struct Options {
  std::string plan;           // "" = the model's first
  bool device_off = false;    // CPU only
  std::optional<Tier> tier;   // none = the fastest that works
  bool experimental = false;  // allows tier mailbox
  std::optional<MemoryKind> memory;
  std::string opencl_library;  // "" = libOpenCL.so.1, then libOpenCL.so
  CacheChoice cache;
  bool verify = true;  // compare the weights with their checksum
  PinMode pin = PinMode::kAuto;
  AheadMode ahead = AheadMode::kAuto;
  bool chain = true;                      // one launch for all steps, see gpu_program.h
  int cpu_core = -1;                      // -1 = the first allowed CPU
  int gpu_core = -1;                      // -1 = the second
  std::optional<std::vector<int>> cores;  // to run on; none = the model's, empty = any
  int threads = 1;
  bool pipeline = false;  // see open_model.h
  int priority = 0;       // for what models share; more goes first, see priority_turn.h
  double timeout_ms = 5000.0;
  Fault fault = Fault::kNone;
  std::string npu = "auto";  // "off", or a driver's name
  HtpLibraries htp;
  NpuFault npu_fault = NpuFault::kNone;
  bool quiet = false;
  AdaptMode adapt = AdaptMode::kAuto;
  double gpu_slice_us = 0.0;  // longest launch; 0 = as long as a step takes, see gpu_slices.h
  std::vector<PretendedLoad> pretended_load;  // tests
  bool trace = false;                         // keep the last steps, see trace.h
  uint32_t epoch_start = 0;                   // for tests of the wrap-around

  // Whether the CPU alone shall run.
  bool cpu_only() const { return device_off || tier == Tier::kCpu; }
};

// Defaults, overridden by HETCOMP_DEVICE, HETCOMP_TIER, HETCOMP_MEMORY, HETCOMP_PIN,
// HETCOMP_OPENCL_LIBRARY, HETCOMP_NPU, HETCOMP_ONNXRUNTIME, HETCOMP_QNN, HETCOMP_EXPERIMENTAL and
// HETCOMP_CACHE_DIR, overridden by the keys of `json`. Unknown keys and values are errors.
Options ParseOptions(std::string_view json);

}  // namespace hetcomp

#endif  // HETCOMP_OPTIONS_H_
