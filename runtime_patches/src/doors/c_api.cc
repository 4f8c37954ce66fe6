// The plain C door: hetcomp.h over OpenModel. No exception crosses it.
#include <algorithm>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "doors/open_model.h"
#include "hetcomp.h"

struct hetcomp_model {
  explicit hetcomp_model(const char* options) : model(options), graph(model.graph()) {}
  hetcomp::OpenModel model;
  const hetcomp::Graph& graph;
};

struct hetcomp_request {
  std::shared_ptr<hetcomp::Request> request;
};

namespace hetcomp {
namespace {

constexpr double kNoLimit = -1.0;

// Of a structure that the caller has provided, what every version has had.
constexpr uint32_t kLeastInfoBytes = sizeof(hetcomp_tensor_info);

std::string& LastError() {
  static thread_local std::string text;
  return text;
}

std::string& LastText() {
  static thread_local std::string text;
  return text;
}

hetcomp_status Code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInput:
      return HETCOMP_ERROR_INPUT;
    case ErrorKind::kDevice:
      return HETCOMP_ERROR_DEVICE;
    case ErrorKind::kCancelled:
      return HETCOMP_CANCELLED;
    case ErrorKind::kInternal:
      break;
  }
  return HETCOMP_ERROR_INTERNAL;
}

// The status that `body` returns; its exceptions become a status and a text.
template <typename Body>
hetcomp_status GuardStatus(Body body) {
  try {
    LastError().clear();
    return body();
  } catch (const Error& error) {
    LastError() = error.what();
    return Code(error.kind());
  } catch (const std::bad_alloc&) {
    LastError() = "out of memory";
    return HETCOMP_ERROR_INTERNAL;
  } catch (const std::exception& error) {
    LastError() = error.what();
    return HETCOMP_ERROR_INTERNAL;
  }
}

template <typename Body>
hetcomp_status Guard(Body body) {
  return GuardStatus([&] {
    body();
    return HETCOMP_OK;
  });
}

template <typename Pointer>
void RequireNotNull(Pointer pointer, const char* what) {
  if (pointer == nullptr) ThrowInput(std::string(what) + " is NULL");
}

void RequireAll(const void* const* pointers, size_t count, const char* what) {
  if (count > 0) RequireNotNull(pointers, what);
  for (size_t i = 0; i < count; ++i) {
    if (pointers[i] == nullptr)
      ThrowInput(std::string(what) + "[" + std::to_string(i) + "] is NULL");
  }
}

void RequireTensors(const hetcomp_model* model, const void* const* inputs, void* const* outputs) {
  RequireNotNull(model, "model");
  RequireAll(inputs, model->graph.inputs.size(), "inputs");
  RequireAll(outputs, model->graph.outputs.size(), "outputs");
}

hetcomp_status Info(const hetcomp_model* model, bool input, int32_t index,
                    hetcomp_tensor_info* out) {
  return Guard([&] {
    RequireNotNull(model, "model");
    RequireNotNull(out, "out");
    if (out->struct_size < kLeastInfoBytes) {
      ThrowInput("struct_size is " + std::to_string(out->struct_size) + ", expected at least " +
                 std::to_string(kLeastInfoBytes) + ": set it to sizeof(hetcomp_tensor_info)");
    }
    const std::vector<int>& list = input ? model->graph.inputs : model->graph.outputs;
    if (index < 0 || static_cast<size_t>(index) >= list.size()) {
      ThrowInput("index " + std::to_string(index) + " of " + std::to_string(list.size()));
    }
    const size_t tensor_index = static_cast<size_t>(list[static_cast<size_t>(index)]);
    const Tensor& tensor = model->graph.tensors[tensor_index];
    const hetcomp_tensor_info info = {
        out->struct_size,    static_cast<int32_t>(tensor.shape.size()),
        tensor.name.c_str(), tensor.dtype.c_str(),
        tensor.shape.data(), tensor.size_bytes};
    std::memcpy(out, &info, std::min<size_t>(sizeof(info), out->struct_size));
  });
}

// What the session says, kept until this thread's next call; null after an error.
const char* LastingText(hetcomp_model* model, std::string (Session::*text)()) {
  const hetcomp_status status = Guard([&] {
    RequireNotNull(model, "model");
    LastText() = model->model.Use(std::mem_fn(text));
  });
  return status == HETCOMP_OK ? LastText().c_str() : nullptr;
}

}  // namespace
}  // namespace hetcomp

extern "C" {

int32_t hetcomp_abi_version(void) { return HETCOMP_ABI_VERSION; }

const char* hetcomp_status_name(hetcomp_status status) {
  switch (status) {
    case HETCOMP_OK:
      return "HETCOMP_OK";
    case HETCOMP_ERROR_INPUT:
      return "HETCOMP_ERROR_INPUT";
    case HETCOMP_ERROR_DEVICE:
      return "HETCOMP_ERROR_DEVICE";
    case HETCOMP_ERROR_INTERNAL:
      return "HETCOMP_ERROR_INTERNAL";
    case HETCOMP_CANCELLED:
      return "HETCOMP_CANCELLED";
    case HETCOMP_PENDING:
      return "HETCOMP_PENDING";
  }
  return "unknown status";
}

const char* hetcomp_last_error(void) { return hetcomp::LastError().c_str(); }

hetcomp_status hetcomp_model_open(const char* options_json, hetcomp_model** out) {
  return hetcomp::Guard([&] {
    hetcomp::RequireNotNull(out, "out");
    *out = nullptr;
    *out = new hetcomp_model(options_json == nullptr ? "{}" : options_json);
  });
}

void hetcomp_model_close(hetcomp_model* model) {
  hetcomp::Guard([&] { delete model; });
}

int32_t hetcomp_model_input_count(const hetcomp_model* model) {
  return model == nullptr ? -1 : static_cast<int32_t>(model->graph.inputs.size());
}

int32_t hetcomp_model_output_count(const hetcomp_model* model) {
  return model == nullptr ? -1 : static_cast<int32_t>(model->graph.outputs.size());
}

hetcomp_status hetcomp_model_input_info(const hetcomp_model* model, int32_t index,
                                        hetcomp_tensor_info* out) {
  return hetcomp::Info(model, /*input=*/true, index, out);
}

hetcomp_status hetcomp_model_output_info(const hetcomp_model* model, int32_t index,
                                         hetcomp_tensor_info* out) {
  return hetcomp::Info(model, /*input=*/false, index, out);
}

hetcomp_status hetcomp_model_buffer(hetcomp_model* model, const char* name, void** out) {
  return hetcomp::Guard([&] {
    hetcomp::RequireNotNull(out, "out");
    *out = nullptr;
    hetcomp::RequireNotNull(model, "model");
    hetcomp::RequireNotNull(name, "name");
    // The session owns the memory as well, so the pointer outlives this owner.
    *out =
        model->model.Change([&](hetcomp::Session& session) { return session.Buffer(name); }).get();
  });
}

hetcomp_status hetcomp_model_run(hetcomp_model* model, const void* const* inputs,
                                 void* const* outputs) {
  return hetcomp::Guard([&] {
    hetcomp::RequireTensors(model, inputs, outputs);
    model->model.Run(inputs, outputs);
  });
}

hetcomp_status hetcomp_model_submit(hetcomp_model* model, const void* const* inputs,
                                    void* const* outputs, hetcomp_request** out) {
  return hetcomp::Guard([&] {
    hetcomp::RequireNotNull(out, "out");
    *out = nullptr;
    hetcomp::RequireTensors(model, inputs, outputs);
    // Not by braces: a pointer to pointers is itself an element for a list.
    std::vector<const void*> from(inputs, inputs + model->graph.inputs.size());
    std::vector<void*> to(outputs, outputs + model->graph.outputs.size());
    auto request = std::make_unique<hetcomp_request>();
    request->request = model->model.Submit(std::move(from), std::move(to));
    *out = request.release();
  });
}

hetcomp_status hetcomp_request_wait(hetcomp_request* request, int64_t timeout_ms) {
  return hetcomp::GuardStatus([&] {
    hetcomp::RequireNotNull(request, "request");
    if (!request->request->Wait(static_cast<double>(timeout_ms))) return HETCOMP_PENDING;
    request->request->ThrowIfFailed();
    return HETCOMP_OK;
  });
}

hetcomp_status hetcomp_request_cancel(hetcomp_request* request) {
  return hetcomp::GuardStatus([&] {
    hetcomp::RequireNotNull(request, "request");
    return request->request->Cancel() ? HETCOMP_OK : HETCOMP_PENDING;
  });
}

void hetcomp_request_free(hetcomp_request* request) {
  hetcomp::Guard([&] {
    const std::unique_ptr<hetcomp_request> owned(request);
    if (owned == nullptr || owned->request->Cancel()) return;
    owned->request->Wait(hetcomp::kNoLimit);
  });
}

hetcomp_status hetcomp_model_use_plan(hetcomp_model* model, const char* plan) {
  return hetcomp::Guard([&] {
    hetcomp::RequireNotNull(model, "model");
    hetcomp::RequireNotNull(plan, "plan");
    model->model.Change([&](hetcomp::Session& session) { session.UsePlan(plan); });
  });
}

const char* hetcomp_model_status_json(hetcomp_model* model) {
  return hetcomp::LastingText(model, &hetcomp::Session::StatusJson);
}

const char* hetcomp_model_stats_json(hetcomp_model* model) {
  return hetcomp::LastingText(model, &hetcomp::Session::StatsJson);
}

const char* hetcomp_model_trace_json(hetcomp_model* model) {
  return hetcomp::LastingText(model, &hetcomp::Session::TraceJson);
}

}  // extern "C"
