// Threads that infer on several models at once by `run` and by requests, which they wait for or
// cancel, and compare every result. Meanwhile another reads status, statistics and trace, and the
// first one opens sessions, uses their buffers, changes their plans, and closes them in the middle
// of requests. Built with a sanitizer, as the models are.
//
//   hammer THREADS INFERENCES OPTIONS model.so...
#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "hetcomp.h"

namespace {

[[noreturn]] void Fail(const std::string& text) {
  std::fprintf(stderr, "hammer: %s\n", text.c_str());
  std::_Exit(1);
}

using Tensors = std::vector<std::vector<char>>;

// A request with the outputs that it writes.
struct Asked {
  Tensors outputs;
  hetcomp_request* request = nullptr;
};

// One model.so; its functions, and made-up inputs with the outputs of its plan "cpu".
class Library {
 public:
  explicit Library(const char* path) : handle_(dlopen(path, RTLD_NOW)) {
    if (handle_ == nullptr) Fail(dlerror());
    hetcomp_model* model = Open("{\"plan\": \"cpu\"}");
    inputs_ = Make(model, "hetcomp_model_input_count", "hetcomp_model_input_info");
    expected_ = Make(model, "hetcomp_model_output_count", "hetcomp_model_output_info");
    for (std::vector<char>& input : inputs_) {
      auto* values = reinterpret_cast<float*>(input.data());
      for (size_t i = 0; i < input.size() / sizeof(float); ++i) {
        values[i] = static_cast<float>(i * 5 % 13);
      }
    }
    Run(model, &expected_);
    Close(model);
  }

  hetcomp_model* Open(const char* options) const {
    hetcomp_model* model = nullptr;
    Check(Function<decltype(hetcomp_model_open)>("hetcomp_model_open")(options, &model));
    return model;
  }

  void Close(hetcomp_model* model) const {
    Function<decltype(hetcomp_model_close)>("hetcomp_model_close")(model);
  }

  std::string Status(hetcomp_model* model) const {
    return Function<decltype(hetcomp_model_status_json)>("hetcomp_model_status_json")(model);
  }

  std::string Stats(hetcomp_model* model) const {
    return Function<decltype(hetcomp_model_stats_json)>("hetcomp_model_stats_json")(model);
  }

  // Null where the model was opened without one.
  const char* Trace(hetcomp_model* model) const {
    return Function<decltype(hetcomp_model_trace_json)>("hetcomp_model_trace_json")(model);
  }

  // Does nothing in a pipeline, which has fixed plans.
  void UsePlan(hetcomp_model* model, const char* plan) const {
    Function<decltype(hetcomp_model_use_plan)>("hetcomp_model_use_plan")(model, plan);
  }

  void RunAndCompare(hetcomp_model* model) const {
    Tensors outputs = Zeros();
    Run(model, &outputs);
    Compare(outputs);
  }

  // In the model's own memory; a pipeline has none.
  void RunInPlace(hetcomp_model* model) const {
    std::vector<void*> in, out;
    if (!Buffers(model, "hetcomp_model_input_count", "hetcomp_model_input_info", &in)) return;
    Buffers(model, "hetcomp_model_output_count", "hetcomp_model_output_info", &out);
    for (size_t i = 0; i < in.size(); ++i) std::memcpy(in[i], inputs_[i].data(), inputs_[i].size());
    Check(Function<decltype(hetcomp_model_run)>("hetcomp_model_run")(model, in.data(), out.data()));
    Tensors outputs = Zeros();
    for (size_t i = 0; i < out.size(); ++i)
      std::memcpy(outputs[i].data(), out[i], outputs[i].size());
    Compare(outputs);
  }

  void Submit(hetcomp_model* model, Asked* asked) const {
    asked->outputs = Zeros();
    const std::vector<const void*> in = Inputs();
    std::vector<void*> out = Addresses(&asked->outputs);
    Check(Function<decltype(hetcomp_model_submit)>("hetcomp_model_submit")(
        model, in.data(), out.data(), &asked->request));
  }

  bool Cancel(const Asked& asked) const {
    return Function<decltype(hetcomp_request_cancel)>("hetcomp_request_cancel")(asked.request) ==
           HETCOMP_OK;
  }

  // Waits and frees. `may_be_cancelled`: it, or the model, was given up.
  void Finish(Asked* asked, bool may_be_cancelled) const {
    const hetcomp_status status =
        Function<decltype(hetcomp_request_wait)>("hetcomp_request_wait")(asked->request, -1);
    if (status != HETCOMP_CANCELLED || !may_be_cancelled) {
      Check(status);
      Compare(asked->outputs);
    }
    Function<decltype(hetcomp_request_free)>("hetcomp_request_free")(asked->request);
  }

 private:
  Tensors Zeros() const {
    Tensors outputs = expected_;
    for (std::vector<char>& output : outputs) std::memset(output.data(), 0, output.size());
    return outputs;
  }

  void Compare(const Tensors& outputs) const {
    if (outputs != expected_) Fail("a wrong result");
  }

  std::vector<const void*> Inputs() const {
    std::vector<const void*> addresses;
    for (const std::vector<char>& input : inputs_) addresses.push_back(input.data());
    return addresses;
  }

  static std::vector<void*> Addresses(Tensors* tensors) {
    std::vector<void*> addresses;
    for (std::vector<char>& tensor : *tensors) addresses.push_back(tensor.data());
    return addresses;
  }

  // False where the model gives none.
  bool Buffers(hetcomp_model* model, const char* count, const char* info,
               std::vector<void*>* buffers) const {
    const int32_t n = Function<decltype(hetcomp_model_input_count)>(count)(model);
    for (int32_t i = 0; i < n; ++i) {
      hetcomp_tensor_info found{};
      found.struct_size = sizeof(found);
      Check(Function<decltype(hetcomp_model_input_info)>(info)(model, i, &found));
      void* memory = nullptr;
      const hetcomp_status status = Function<decltype(hetcomp_model_buffer)>(
          "hetcomp_model_buffer")(model, found.name, &memory);
      if (status == HETCOMP_ERROR_INPUT) return false;
      Check(status);
      buffers->push_back(memory);
    }
    return true;
  }

  template <typename T>
  T* Function(const char* name) const {
    auto* function = reinterpret_cast<T*>(dlsym(handle_, name));
    if (function == nullptr) Fail(name);
    return function;
  }

  void Check(hetcomp_status status) const {
    if (status == HETCOMP_OK) return;
    Fail(Function<decltype(hetcomp_last_error)>("hetcomp_last_error")());
  }

  Tensors Make(const hetcomp_model* model, const char* count, const char* info) const {
    Tensors tensors;
    const int32_t n = Function<decltype(hetcomp_model_input_count)>(count)(model);
    for (int32_t i = 0; i < n; ++i) {
      hetcomp_tensor_info found{};
      found.struct_size = sizeof(found);
      Check(Function<decltype(hetcomp_model_input_info)>(info)(model, i, &found));
      tensors.emplace_back(found.size_bytes);
    }
    return tensors;
  }

  void Run(hetcomp_model* model, Tensors* outputs) const {
    const std::vector<const void*> in = Inputs();
    const std::vector<void*> out = Addresses(outputs);
    Check(Function<decltype(hetcomp_model_run)>("hetcomp_model_run")(model, in.data(), out.data()));
  }

  void* const handle_;
  Tensors inputs_;
  Tensors expected_;
};

// One inference, by `run` or by a request, or two requests of which one is cancelled.
void InferSomehow(const Library& library, hetcomp_model* model, int turn) {
  if (turn % 3 == 0) return library.RunAndCompare(model);
  Asked first, second;
  library.Submit(model, &first);
  if (turn % 3 == 2) {
    library.Submit(model, &second);
    library.Finish(&second, library.Cancel(second));
  }
  library.Finish(&first, /*may_be_cancelled=*/false);
}

// A session from its opening to its end in the middle of requests.
void LiveShortly(const Library& library, const char* options) {
  hetcomp_model* model = library.Open(options);
  library.RunAndCompare(model);
  library.RunInPlace(model);
  library.UsePlan(model, "cpu");
  library.RunInPlace(model);
  library.UsePlan(model, "rows");
  std::vector<Asked> asked(6);
  for (Asked& one : asked) library.Submit(model, &one);
  library.Close(model);
  for (Asked& one : asked) library.Finish(&one, /*may_be_cancelled=*/true);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) Fail("usage: hammer THREADS INFERENCES OPTIONS model.so...");
  const size_t n_threads = std::strtoul(argv[1], nullptr, 10);
  const int inferences = std::atoi(argv[2]);
  const char* const options = argv[3];
  std::vector<std::unique_ptr<Library>> libraries;
  std::vector<hetcomp_model*> models;
  for (int i = 4; i < argc; ++i) {
    libraries.push_back(std::make_unique<Library>(argv[i]));
    models.push_back(libraries.back()->Open(options));
  }
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < n_threads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < inferences; ++i) {
        const size_t which = (thread + static_cast<size_t>(i)) % models.size();
        InferSomehow(*libraries[which], models[which], i);
      }
    });
  }
  std::atomic<bool> over{false};
  std::thread reader([&] {
    for (size_t i = 0; !over; i = (i + 1) % models.size()) {
      libraries[i]->Status(models[i]);
      libraries[i]->Stats(models[i]);
      libraries[i]->Trace(models[i]);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (int i = 0; i < 3; ++i) LiveShortly(*libraries[0], options);
  for (std::thread& thread : threads) thread.join();
  over = true;
  reader.join();
  for (size_t i = 0; i < models.size(); ++i) {
    std::printf("%s\n", libraries[i]->Status(models[i]).c_str());
    std::printf("%s\n", libraries[i]->Stats(models[i]).c_str());
    libraries[i]->Close(models[i]);
  }
  return 0;
}
