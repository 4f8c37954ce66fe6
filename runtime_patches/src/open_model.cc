#include "open_model.h"

#include <utility>

#include "error.h"

namespace hetcomp {

OpenModel::OpenModel(std::string_view options_json)
    : session_(std::make_unique<Session>(options_json)) {
  Session* session = session_.get();
  queue_ = std::make_unique<RequestQueue>(
      std::vector<RequestQueue::Lane>{[session](const void* const* inputs, void* const* outputs) {
        session->Run(inputs, outputs);
      }});
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
  session_.reset();
  std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

}  // namespace hetcomp
