// Threads that infer on several models at once, compare every result, and open and close sessions
// meanwhile. Built with a sanitizer, as the models are.
//
//   hammer THREADS INFERENCES OPTIONS model.so...
#include <dlfcn.h>

#include <atomic>
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

  void RunAndCompare(hetcomp_model* model) const {
    Tensors outputs = expected_;
    for (std::vector<char>& output : outputs) std::memset(output.data(), 0, output.size());
    Run(model, &outputs);
    if (outputs != expected_) Fail("a wrong result");
  }

 private:
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
    std::vector<const void*> in;
    std::vector<void*> out;
    for (const std::vector<char>& input : inputs_) in.push_back(input.data());
    for (std::vector<char>& output : *outputs) out.push_back(output.data());
    Check(Function<decltype(hetcomp_model_run)>("hetcomp_model_run")(model, in.data(), out.data()));
  }

  void* const handle_;
  Tensors inputs_;
  Tensors expected_;
};

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
        libraries[which]->RunAndCompare(models[which]);
        if (i % 16 == 0) libraries[which]->Status(models[which]);
      }
    });
  }
  for (int i = 0; i < 3; ++i) {
    hetcomp_model* another = libraries[0]->Open(options);
    libraries[0]->RunAndCompare(another);
    libraries[0]->Close(another);
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < models.size(); ++i) {
    std::printf("%s\n", libraries[i]->Status(models[i]).c_str());
    libraries[i]->Close(models[i]);
  }
  return 0;
}
