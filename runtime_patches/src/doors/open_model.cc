#include "doors/open_model.h"

#include <utility>

#include "base/error.h"

namespace hetcomp {
namespace {

RequestQueue::Lane LaneOf(Session* session) {
  return
      [session](const void* const* inputs, void* const* outputs) { session->Run(inputs, outputs); };
}

// Whole inferences on the device. Its CPU thread sleeps: the core is the other session's.
Options OnGpu(Options options) {
  options.plan = "gpu";
  if (!options.tier.has_value()) options.tier = Tier::kFinish;
  options.adapt = AdaptMode::kOff;  // the plans are what makes the pipeline
  return options;
}

// Whole inferences on the CPU, on `core` where the device has another one for itself.
Options OnCpu(Options options, int core) {
  options.plan = "cpu";
  options.device_off = true;
  if (core >= 0) {
    options.pin = PinMode::kOn;
    options.cpu_core = core;
  }
  return options;
}

}  // namespace

OpenModel::OpenModel(std::string_view options_json) {
  const Options options = ParseOptions(options_json);
  session_ = std::make_unique<Session>(options.pipeline ? OnGpu(options) : options);
  std::vector<RequestQueue::Lane> lanes = {LaneOf(session_.get())};
  if (options.pipeline) {
    partner_ = std::make_unique<Session>(OnCpu(options, session_->Core()));
    lanes.push_back(LaneOf(partner_.get()));
  }
  queue_ = std::make_unique<RequestQueue>(std::move(lanes));
}

void OpenModel::Run(const void* const* inputs, void* const* outputs) {
  const Call call(this);
  if (partner_ == nullptr) return session_->Run(inputs, outputs);
  const Graph& graph = session_->graph();
  const auto request =
      queue_->Submit(std::vector<const void*>(inputs, inputs + graph.inputs.size()),
                     std::vector<void*>(outputs, outputs + graph.outputs.size()));
  constexpr double kNoLimit = -1.0;
  request->Wait(kNoLimit);
  request->ThrowIfFailed();
}

OpenModel::Call::Call(OpenModel* model) : model_(model) {
  std::lock_guard<std::mutex> lock(model->mutex_);
  if (model->closing_) ThrowInput("the session is closed");
  ++model->calls_;
}

OpenModel::Call::~Call() {
  std::lock_guard<std::mutex> lock(model_->mutex_);
  if (--model_->calls_ == 0) model_->changed_.notify_all();
}

void OpenModel::Close() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    const bool first = !std::exchange(closing_, true);
    changed_.wait(lock, [&] { return first ? calls_ == 0 : closed_; });
    if (!first) return;
  }
  queue_->Close();
  partner_.reset();
  session_.reset();
  std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

}  // namespace hetcomp
