#include "opencl/sync_latencies.h"

#include <chrono>
#include <thread>
#include <vector>

#include "base/json_writer.h"
#include "opencl/probe_kernel.h"

namespace hetcomp {
namespace {

using Ending = ProbeKernel::Ending;

constexpr double kKernelUs = 50.0;                    // a kernel whose end is waited for
constexpr std::chrono::microseconds kAsleepUs(2000);  // after it a device's threads sleep

struct Series {
  const char* name;
  std::vector<double> times_us;
};

}  // namespace

std::string SyncLatenciesJson(const ClHandles& cl, cl_program program, double round_us, int reps) {
  ProbeKernel probe(cl, program);
  Series dispatch[] = {
      {"enqueue_us", {}}, {"enqueue_busy_us", {}}, {"launch_us", {}}, {"hand_shake_us", {}}};
  Series ends[] = {{"flag_us", {}}, {"event_us", {}}, {"sleep_us", {}}, {"finish_us", {}}};
  const Ending endings[] = {Ending::kFlag, Ending::kPoll, Ending::kSleep, Ending::kFinish};
  const int rounds = static_cast<int>(kKernelUs / round_us) + 1;
  for (int rep = 0; rep < reps; ++rep) {
    std::this_thread::sleep_for(kAsleepUs);
    const ProbeKernel::HandShakeTimes times = probe.TimeHandShake(round_us);
    dispatch[0].times_us.push_back(times.enqueue_us);
    dispatch[1].times_us.push_back(times.enqueue_busy_us);
    dispatch[2].times_us.push_back(times.launch_us);
    dispatch[3].times_us.push_back(times.round_trip_us);
    for (size_t i = 0; i < 4; ++i) {
      ends[i].times_us.push_back(probe.WaitInVainUs(rounds, endings[i]));
    }
  }
  JsonObject json;
  for (const Series& series : dispatch) json.Raw(series.name, JsonNumbers(series.times_us));
  for (const Series& series : ends) json.Raw(series.name, JsonNumbers(series.times_us));
  return json.Done();
}

}  // namespace hetcomp
