// A compiled model as a program of its own: reads inputs, runs, writes outputs, or times
// inferences.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arguments.h"
#include "array_file.h"
#include "hetcomp.h"

namespace hetcomp::program {
namespace {

using Clock = std::chrono::steady_clock;
using Model = std::unique_ptr<hetcomp_model, decltype(&hetcomp_model_close)>;
using InfoOf = hetcomp_status (*)(const hetcomp_model*, int32_t, hetcomp_tensor_info*);

constexpr int32_t kMostShown = 4;

void Check(hetcomp_status status) {
  if (status != HETCOMP_OK) throw std::runtime_error(hetcomp_last_error());
}

double MsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// One input or output and the model's own memory of it.
struct Tensor {
  hetcomp_tensor_info info = {sizeof(hetcomp_tensor_info), 0, nullptr, nullptr, nullptr, 0};
  void* data = nullptr;
};

std::vector<Tensor> Tensors(hetcomp_model* model, int32_t count, InfoOf info_of) {
  std::vector<Tensor> found(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i) {
    Tensor& tensor = found[static_cast<size_t>(i)];
    Check(info_of(model, i, &tensor.info));
    Check(hetcomp_model_buffer(model, tensor.info.name, &tensor.data));
  }
  return found;
}

void Print(const char* what, const Tensor& tensor) {
  std::printf("%s %s: %s [", what, tensor.info.name, tensor.info.dtype);
  for (int32_t i = 0; i < tensor.info.ndim; ++i) {
    std::printf("%s%lld", i == 0 ? "" : ", ", static_cast<long long>(tensor.info.shape[i]));
  }
  std::printf("]");
  if (std::strcmp(what, "output") == 0 && std::strcmp(tensor.info.dtype, "float32") == 0) {
    const auto* const values = static_cast<const float*>(tensor.data);
    const auto count = static_cast<int32_t>(tensor.info.size_bytes / sizeof(float));
    for (int32_t i = 0; i < std::min(kMostShown, count); ++i) std::printf(" %.6g", values[i]);
  }
  std::printf("\n");
}

bool IsArrayFile(const std::string& path) {
  constexpr std::string_view kSuffix = ".npy";
  return path.size() > kSuffix.size() && path.substr(path.size() - kSuffix.size()) == kSuffix;
}

// `contents` keeps what is read.
std::string_view InputBytes(const std::string& path, const hetcomp_tensor_info& info,
                            std::string* contents) {
  *contents = ReadFile(path);
  if (IsArrayFile(path)) return ArrayIn(*contents, info, path);
  if (contents->size() == info.size_bytes) return *contents;
  throw std::runtime_error("'" + path + "' has " + std::to_string(contents->size()) +
                           " bytes, input '" + info.name + "' " + std::to_string(info.size_bytes));
}

void FillInputs(const Arguments& given, const std::vector<Tensor>& inputs) {
  const std::string archive = given.archive.empty() ? "" : ReadFile(given.archive);
  std::map<std::string, std::string_view> arrays;
  if (!given.archive.empty()) arrays = FilesIn(archive, given.archive);
  std::map<std::string, std::string> files = given.inputs;
  for (const Tensor& input : inputs) {
    const std::string name = input.info.name;
    std::string contents;
    std::string_view bytes;
    if (const auto file = files.find(name); file != files.end()) {
      bytes = InputBytes(file->second, input.info, &contents);
      files.erase(file);
    } else if (const auto array = arrays.find(name); array != arrays.end()) {
      bytes = ArrayIn(array->second, input.info, given.archive + ": " + name);
    } else if (given.bench == 0) {
      throw std::runtime_error("input '" + name + "' is not given");
    }
    if (!bytes.empty()) std::memcpy(input.data, bytes.data(), bytes.size());
  }
  if (!files.empty()) throw std::runtime_error("there is no input '" + files.begin()->first + "'");
}

void WriteOutputs(const std::string& folder, const std::vector<Tensor>& outputs) {
  if (mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) {
    throw std::runtime_error("'" + folder + "' cannot be made: " + std::strerror(errno));
  }
  for (const Tensor& output : outputs) {
    std::string name = output.info.name;
    std::replace(name.begin(), name.end(), '/', '_');
    WriteArray(folder + "/" + name + ".npy", output.info, output.data);
  }
}

void Run(const Arguments& given) {
  const auto begin = Clock::now();
  hetcomp_model* opened = nullptr;
  Check(hetcomp_model_open(given.options.c_str(), &opened));
  const Model model(opened, hetcomp_model_close);
  const double open_ms = MsSince(begin);
  const auto inputs = Tensors(opened, hetcomp_model_input_count(opened), hetcomp_model_input_info);
  const auto outputs =
      Tensors(opened, hetcomp_model_output_count(opened), hetcomp_model_output_info);
  for (const Tensor& input : inputs) Print("input", input);
  if (given.list) {
    for (const Tensor& output : outputs) Print("gives", output);
    return;
  }
  FillInputs(given, inputs);
  std::vector<const void*> from;
  std::vector<void*> to;
  for (const Tensor& input : inputs) from.push_back(input.data);
  for (const Tensor& output : outputs) to.push_back(output.data);
  const auto infer = [&] {
    const auto start = Clock::now();
    Check(hetcomp_model_run(opened, from.data(), to.data()));
    return MsSince(start);
  };
  const double first_ms = infer();
  std::vector<double> times;
  for (int i = 0; i < given.bench; ++i) times.push_back(infer());
  for (const Tensor& output : outputs) Print("output", output);
  if (!given.output.empty()) WriteOutputs(given.output, outputs);
  if (times.empty()) return;
  std::sort(times.begin(), times.end());
  std::printf("opened in %.3f ms, first inference %.3f ms\n", open_ms, first_ms);
  std::printf("%d inferences: median %.3f ms, %.3f to %.3f\n", given.bench, times[times.size() / 2],
              times.front(), times.back());
  std::printf("%s\n", hetcomp_model_status_json(opened));
}

}  // namespace
}  // namespace hetcomp::program

int main(int argc, char** argv) {
  using namespace hetcomp::program;
  try {
    const Arguments given = ParseArguments(argc, argv);
    if (given.help) {
      std::fputs(kUsage, stdout);
      return 0;
    }
    Run(given);
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "error: %s\n%s", error.what(), kUsage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
