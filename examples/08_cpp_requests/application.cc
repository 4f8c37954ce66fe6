// A C++17 application: several inferences in flight, owned by smart pointers.
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

#include "hetcomp.h"

namespace {

struct Close {
  void operator()(hetcomp_model* model) const { hetcomp_model_close(model); }
  void operator()(hetcomp_request* request) const { hetcomp_request_free(request); }
};
using Model = std::unique_ptr<hetcomp_model, Close>;
using Request = std::unique_ptr<hetcomp_request, Close>;

void Check(hetcomp_status status) {
  if (status != HETCOMP_OK) throw std::runtime_error(hetcomp_last_error());
}

Model Open(const char* options) {
  hetcomp_model* model = nullptr;
  Check(hetcomp_model_open(options, &model));
  return Model(model);
}

Request Submit(hetcomp_model* model, const std::vector<float>& x, std::vector<float>* y) {
  const void* inputs[] = {x.data()};
  void* outputs[] = {y->data()};
  hetcomp_request* request = nullptr;
  Check(hetcomp_model_submit(model, inputs, outputs, &request));
  return Request(request);
}

}  // namespace

int main() {
  if (hetcomp_abi_version() != HETCOMP_ABI_VERSION) return 1;
  const Model model = Open("{\"timeout_ms\": 1000}");
  hetcomp_tensor_info in{sizeof(in)}, out{sizeof(out)};
  Check(hetcomp_model_input_info(model.get(), 0, &in));
  Check(hetcomp_model_output_info(model.get(), 0, &out));

  constexpr size_t kRequests = 4;
  std::vector<std::vector<float>> x(kRequests), y(kRequests);
  std::vector<Request> requests;  // freed before the memory that they use
  for (size_t i = 0; i < kRequests; ++i) {
    x[i].assign(in.size_bytes / sizeof(float), 0.25f * static_cast<float>(i));
    y[i].resize(out.size_bytes / sizeof(float));
    requests.push_back(Submit(model.get(), x[i], &y[i]));
  }
  for (size_t i = 0; i < kRequests; ++i) {
    Check(hetcomp_request_wait(requests[i].get(), 10000));
    std::printf("request %zu: %.5f %.5f\n", i, y[i][0], y[i][1]);
  }
}
