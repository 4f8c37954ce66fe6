#include "opencl/copy_times.h"

#include <cstring>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json_writer.h"
#include "base/keep.h"
#include "model/arena.h"
#include "opencl/cl_events.h"
#include "opencl/device_block.h"

namespace hetcomp {
namespace {

struct CopyTimes {
  std::vector<double> upload_us;
  std::vector<double> download_us;
};

template <typename Copy>
double TimeUs(const Copy& copy) {
  const double start_us = NowUs();
  copy();
  return NowUs() - start_us;
}

// Both ways by turns; the first turn, which touches the memory for the first time, does not count.
template <typename Upload, typename Download>
CopyTimes TimeCopies(const Upload& upload, const Download& download, int reps) {
  CopyTimes times;
  for (int rep = -1; rep < reps; ++rep) {
    const double upload_us = TimeUs(upload);
    const double download_us = TimeUs(download);
    if (rep < 0) continue;
    times.upload_us.push_back(upload_us);
    times.download_us.push_back(download_us);
  }
  return times;
}

CopyTimes TimeFine(const OpenClDevice& device, char* host, size_t bytes, int reps) {
  const Block shared = SvmBlock(bytes, device);
  return TimeCopies([&] { std::memcpy(shared.get(), host, bytes); },
                    [&] { std::memcpy(host, shared.get(), bytes); }, reps);
}

void Finish(const ClHandles& cl, double timeout_us) {
  if (FinishWithin(cl, timeout_us) == WaitResult::kReached) return;
  throw Error(ErrorKind::kDevice, "a measured copy did not finish in time");
}

// Until the device has the bytes, and until the CPU has them.
CopyTimes TimeBlock(const ClHandles& cl, DeviceBlock* block, char* host, int reps,
                    double timeout_us) {
  const std::vector<ByteRect> all = {{0, block->bytes(), block->bytes(), 1}};
  const auto upload = [&] {
    block->Upload(all, host);
    Finish(cl, timeout_us);
  };
  const auto download = [&] {
    if (!block->downloads_ahead()) return block->Download(all, host);
    block->EnqueueDownload(all, host, nullptr);
    Finish(cl, timeout_us);
  };
  const CopyTimes times = TimeCopies(upload, download, reps);
  Finish(cl, timeout_us);  // of the last map
  return times;
}

CopyTimes TimeApart(const OpenClDevice& device, MemoryKind memory, Block* host, size_t bytes,
                    int reps, double timeout_us) {
  const ClHandles cl = device.cl();
  auto block = std::make_unique<DeviceBlock>(cl, memory, bytes, host->get(), timeout_us);
  try {
    return TimeBlock(cl, block.get(), host->get(), reps, timeout_us);
  } catch (const Error&) {
    KeepForEver(std::move(block));  // a copy may be running still
    KeepForEver(*host);
    throw;
  }
}

}  // namespace

std::string CopyTimesJson(const OpenClDevice& device, size_t bytes, int reps, double timeout_us) {
  Block host = HostBlock(bytes);
  JsonObject json;
  for (MemoryKind memory : kMemoryKinds) {
    if (!WhyNot(memory, device.probe().tiers).empty()) continue;
    const CopyTimes times = memory == MemoryKind::kFine
                                ? TimeFine(device, host.get(), bytes, reps)
                                : TimeApart(device, memory, &host, bytes, reps, timeout_us);
    json.Raw(MemoryName(memory), JsonObject()
                                     .Raw("upload_us", JsonNumbers(times.upload_us))
                                     .Raw("download_us", JsonNumbers(times.download_us))
                                     .Done());
  }
  return json.Done();
}

}  // namespace hetcomp
