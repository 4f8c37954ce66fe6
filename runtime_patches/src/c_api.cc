// The plain C door: hetcomp.h over Session. No exception crosses it.
#include <exception>
#include <memory>
#include <string>

#include "error.h"
#include "hetcomp.h"
#include "session.h"

struct hetcomp_model {
  explicit hetcomp_model(const char* options) : session(options) {}
  hetcomp::Session session;
};

namespace hetcomp {
namespace {

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
    case ErrorKind::kInternal:
      break;
  }
  return HETCOMP_ERROR_INTERNAL;
}

// Runs `body`; its exceptions become a status and a text.
template <typename Body>
hetcomp_status Guard(Body body) {
  try {
    LastError().clear();
    body();
    return HETCOMP_OK;
  } catch (const Error& error) {
    LastError() = error.what();
    return Code(error.kind());
  } catch (const std::exception& error) {
    LastError() = error.what();
    return HETCOMP_ERROR_INTERNAL;
  }
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

hetcomp_status Info(const hetcomp_model* model, bool input, int32_t index,
                    hetcomp_tensor_info* out) {
  return Guard([&] {
    RequireNotNull(model, "model");
    RequireNotNull(out, "out");
    const Graph& graph = model->session.graph();
    const std::vector<int>& list = input ? graph.inputs : graph.outputs;
    if (index < 0 || static_cast<size_t>(index) >= list.size()) {
      ThrowInput("index " + std::to_string(index) + " of " + std::to_string(list.size()));
    }
    const Tensor& tensor = graph.tensors[static_cast<size_t>(list[static_cast<size_t>(index)])];
    *out = {tensor.name.c_str(), tensor.dtype.c_str(), static_cast<int32_t>(tensor.shape.size()),
            tensor.shape.data(), tensor.size_bytes};
  });
}

// What `body` says of the model, kept until this thread's next call; null after an error.
template <typename Body>
const char* LastingText(hetcomp_model* model, Body body) {
  const hetcomp_status status = Guard([&] {
    RequireNotNull(model, "model");
    LastText() = body(model->session);
  });
  return status == HETCOMP_OK ? LastText().c_str() : nullptr;
}

}  // namespace
}  // namespace hetcomp

extern "C" {

int32_t hetcomp_abi_version(void) { return HETCOMP_ABI_VERSION; }

hetcomp_status hetcomp_model_open(const char* options_json, hetcomp_model** out) {
  return hetcomp::Guard([&] {
    hetcomp::RequireNotNull(out, "out");
    *out = nullptr;
    *out = new hetcomp_model(options_json == nullptr ? "{}" : options_json);
  });
}

int32_t hetcomp_model_input_count(const hetcomp_model* model) {
  return model == nullptr ? -1 : static_cast<int32_t>(model->session.graph().inputs.size());
}

int32_t hetcomp_model_output_count(const hetcomp_model* model) {
  return model == nullptr ? -1 : static_cast<int32_t>(model->session.graph().outputs.size());
}

hetcomp_status hetcomp_model_input_info(const hetcomp_model* model, int32_t index,
                                        hetcomp_tensor_info* out) {
  return hetcomp::Info(model, /*input=*/true, index, out);
}

hetcomp_status hetcomp_model_output_info(const hetcomp_model* model, int32_t index,
                                         hetcomp_tensor_info* out) {
  return hetcomp::Info(model, /*input=*/false, index, out);
}

hetcomp_status hetcomp_model_run(hetcomp_model* model, const void* const* inputs,
                                 void* const* outputs) {
  return hetcomp::Guard([&] {
    hetcomp::RequireNotNull(model, "model");
    const hetcomp::Graph& graph = model->session.graph();
    hetcomp::RequireAll(inputs, graph.inputs.size(), "inputs");
    hetcomp::RequireAll(outputs, graph.outputs.size(), "outputs");
    model->session.Run(inputs, outputs);
  });
}

const char* hetcomp_model_status_json(hetcomp_model* model) {
  return hetcomp::LastingText(model, [](hetcomp::Session& s) { return s.StatusJson(); });
}

const char* hetcomp_model_stats_json(hetcomp_model* model) {
  return hetcomp::LastingText(model, [](hetcomp::Session& s) { return s.StatsJson(); });
}

const char* hetcomp_model_trace_json(hetcomp_model* model) {
  return hetcomp::LastingText(model, [](hetcomp::Session& s) { return s.TraceJson(); });
}

void hetcomp_model_close(hetcomp_model* model) {
  hetcomp::Guard([&] { delete model; });
}

const char* hetcomp_last_error(void) { return hetcomp::LastError().c_str(); }

}  // extern "C"
