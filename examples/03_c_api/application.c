/* A C99 application that is linked with a compiled model: one inference, in the model's memory. */
#include <stdio.h>
#include <stdlib.h>

#include "hetcomp.h"

enum { MAX_TENSORS = 8 };

static void check(hetcomp_status status) {
  if (status == HETCOMP_OK) return;
  fprintf(stderr, "%s: %s\n", hetcomp_status_name(status), hetcomp_last_error());
  exit(EXIT_FAILURE);
}

/* The model's own memory of a tensor: inferences that get it copy nothing. */
static void* buffer(hetcomp_model* model, const hetcomp_tensor_info* info, const char* what) {
  void* data = NULL;
  check(hetcomp_model_buffer(model, info->name, &data));
  printf("%s %s: %s, %d dimensions\n", what, info->name, info->dtype, (int)info->ndim);
  return data;
}

int main(void) {
  hetcomp_model* model = NULL;
  hetcomp_tensor_info info = {sizeof(info)};
  void* inputs[MAX_TENSORS];
  void* outputs[MAX_TENSORS];
  int32_t i;
  if (hetcomp_abi_version() != HETCOMP_ABI_VERSION) return EXIT_FAILURE;
  check(hetcomp_model_open("{\"timeout_ms\": 1000}", &model));
  const int32_t n_inputs = hetcomp_model_input_count(model);
  const int32_t n_outputs = hetcomp_model_output_count(model);
  if (n_inputs > MAX_TENSORS || n_outputs > MAX_TENSORS) return EXIT_FAILURE;

  for (i = 0; i < n_inputs; ++i) {
    check(hetcomp_model_input_info(model, i, &info));
    inputs[i] = buffer(model, &info, "input");
  }
  for (i = 0; i < n_outputs; ++i) {
    check(hetcomp_model_output_info(model, i, &info));
    outputs[i] = buffer(model, &info, "output");
  }
  float* x = (float*)inputs[0];
  for (i = 0; i < 16; ++i) x[i] = 0.125f * (float)i;

  check(hetcomp_model_run(model, (const void* const*)inputs, outputs));
  const float* y = (const float*)outputs[0];
  printf("first values: %.5f %.5f %.5f %.5f\n", y[0], y[1], y[2], y[3]);
  hetcomp_model_close(model); /* and with it the buffers */
  return EXIT_SUCCESS;
}
