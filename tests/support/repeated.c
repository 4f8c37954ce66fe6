// Inferences of a linked model: `repeated COUNT INPUTS OUTPUTS`, files of all tensors end to end.
//
// Ends without destructors, so that two counts differ by inferences alone.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hetcomp.h"

enum { kMaxTensors = 16 };

static void Check(hetcomp_status status) {
  if (status == HETCOMP_OK) return;
  fprintf(stderr, "%s: %s\n", hetcomp_status_name(status), hetcomp_last_error());
  _exit(1);
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  hetcomp_model* model = NULL;
  hetcomp_tensor_info info = {sizeof(info)};
  void* inputs[kMaxTensors];
  void* outputs[kMaxTensors];
  Check(hetcomp_model_open("{\"device\": \"off\"}", &model));
  const int32_t in_count = hetcomp_model_input_count(model);
  const int32_t out_count = hetcomp_model_output_count(model);
  FILE* in = fopen(argv[2], "rb");
  FILE* out = fopen(argv[3], "wb");
  if (in == NULL || out == NULL || in_count > kMaxTensors || out_count > kMaxTensors) return 3;
  for (int32_t i = 0; i < in_count; ++i) {
    Check(hetcomp_model_input_info(model, i, &info));
    Check(hetcomp_model_buffer(model, info.name, &inputs[i]));
    if (fread(inputs[i], 1, info.size_bytes, in) != info.size_bytes) return 4;
  }
  for (int32_t i = 0; i < out_count; ++i) {
    Check(hetcomp_model_output_info(model, i, &info));
    Check(hetcomp_model_buffer(model, info.name, &outputs[i]));
  }
  for (int run = atoi(argv[1]); run > 0; --run) {
    Check(hetcomp_model_run(model, (const void* const*)inputs, outputs));
  }
  for (int32_t i = 0; i < out_count; ++i) {
    Check(hetcomp_model_output_info(model, i, &info));
    if (fwrite(outputs[i], 1, info.size_bytes, out) != info.size_bytes) return 5;
  }
  if (fclose(out) != 0) return 6;
  _exit(0);
}
