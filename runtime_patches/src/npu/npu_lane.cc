#include "npu/npu_lane.h"

#include <cmath>
#include <exception>
#include <new>
#include <utility>

namespace hetcomp {
namespace {

std::string Words(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    return "there is not enough memory";
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "it throws what is no exception";
  }
}

}  // namespace

void NpuDevice::GiveUp(const std::string& why) {
  if (why_bad_.empty()) why_bad_ = std::string("NPU driver ") + driver_->name() + ": " + why;
  queue_.Abandon();
}

NpuLane::NpuLane(const Graph& graph, const Table& table, const Memory& memory,
                 const char* constants, double timeout_ms, NpuDevice* device)
    : device_(device), timeout_us_(timeout_ms * 1e3) {
  for (const NpuStep& step : table.npu) {
    Region region;
    region.program = MakeRegion(graph, table, step, constants);
    for (const NpuPort& port : region.program.inputs) {
      region.inputs.push_back(memory.Address(graph, table, port.tensor) + port.begin);
    }
    for (const NpuPort& port : region.program.outputs) {
      region.outputs.push_back(memory.Address(graph, table, port.tensor) + port.begin);
    }
    Open(&region);
    regions_.push_back(std::move(region));
  }
}

void NpuLane::Open(Region* region) {
  try {
    region->kernel = device_->driver().Open(region->program);
    region->staging = std::make_shared<NpuStaging>(region->program);
  } catch (...) {
    region->kernel = nullptr;
    why_not_ = std::string("NPU driver ") + device_->driver().name() + " refuses " +
               region->program.name + ": " + Words(std::current_exception());
  }
}

void NpuLane::Submit(int number) {
  Region& region = regions_[static_cast<size_t>(number) - 1];
  region.job = nullptr;
  region.span = {};
  if (region.kernel == nullptr || !device_->why_bad().empty()) return;
  for (size_t i = 0; i < region.inputs.size(); ++i) {
    GatherRows(region.program.inputs[i], region.inputs[i], region.staging->inputs[i].data());
  }
  region.job = device_->queue().Submit(region.kernel, region.staging);
}

bool NpuLane::Collect(int number) {
  const bool done = Finish(number);
  if (!done) took_over_ = true;
  return done;
}

bool NpuLane::Finish(int number) {
  Region& region = regions_[static_cast<size_t>(number) - 1];
  const std::shared_ptr<NpuJob> job = std::move(region.job);
  if (job == nullptr || !device_->why_bad().empty()) return false;
  switch (device_->queue().Wait(*job, timeout_us_)) {
    case NpuResult::kDone:
      break;
    case NpuResult::kFailed:
      device_->GiveUp(region.program.name + ": " + Words(job->failure));
      return false;
    case NpuResult::kTimedOut:
      device_->GiveUp(region.program.name + ": no answer within " +
                      std::to_string(std::lround(timeout_us_ * 1e-3)) + " ms");
      return false;
  }
  for (size_t i = 0; i < region.outputs.size(); ++i) {
    ScatterRows(region.program.outputs[i], region.staging->outputs[i].data(), region.outputs[i]);
  }
  region.span = {job->start_us, job->end_us, 0.0};
  return true;
}

bool NpuLane::TakeTakenOver() { return std::exchange(took_over_, false); }

void NpuLane::FillSpans(double origin_us, std::vector<StepSpan>* spans) const {
  for (size_t i = 0; i < regions_.size(); ++i) {
    const StepSpan& span = regions_[i].span;
    const bool ran = span.end_us > 0.0;
    (*spans)[i] = ran ? StepSpan{span.start_us - origin_us, span.end_us - origin_us, 0.0} : span;
  }
}

}  // namespace hetcomp
