/* A C application for any model: model.so, options, file of all inputs, file for all outputs. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "hetcomp.h"

#define MOST 16
#define LOAD(name)                                   \
  *(void**)&name = dlsym(library, "hetcomp_" #name); \
  if (name == NULL) return fail("model.so lacks hetcomp_" #name)

static int fail(const char* text) {
  fprintf(stderr, "%s\n", text);
  return 1;
}

int main(int argc, char** argv) {
  int32_t (*abi_version)(void);
  hetcomp_status (*model_open)(const char*, hetcomp_model**);
  int32_t (*model_input_count)(const hetcomp_model*);
  int32_t (*model_output_count)(const hetcomp_model*);
  hetcomp_status (*model_input_info)(const hetcomp_model*, int32_t, hetcomp_tensor_info*);
  hetcomp_status (*model_output_info)(const hetcomp_model*, int32_t, hetcomp_tensor_info*);
  hetcomp_status (*model_run)(hetcomp_model*, const void* const*, void* const*);
  const char* (*model_status_json)(hetcomp_model*);
  void (*model_close)(hetcomp_model*);
  const char* (*last_error)(void);
  hetcomp_model* model = NULL;
  hetcomp_tensor_info info;
  void* inputs[MOST];
  void* outputs[MOST];
  size_t sizes[MOST];
  int32_t i, n_inputs, n_outputs;
  FILE* file;
  void* library = argc == 5 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (library == NULL) return fail(argc == 5 ? dlerror() : "usage: MODEL.so OPTIONS IN OUT");
  LOAD(abi_version);
  LOAD(model_open);
  LOAD(model_input_count);
  LOAD(model_output_count);
  LOAD(model_input_info);
  LOAD(model_output_info);
  LOAD(model_run);
  LOAD(model_status_json);
  LOAD(model_close);
  LOAD(last_error);
  if (abi_version() != HETCOMP_ABI_VERSION) return fail("another ABI version");
  if (model_open(argv[2], &model) != HETCOMP_OK) return fail(last_error());
  n_inputs = model_input_count(model);
  n_outputs = model_output_count(model);
  if (n_inputs > MOST || n_outputs > MOST) return fail("too many inputs or outputs");
  file = fopen(argv[3], "rb");
  for (i = 0; i < n_inputs; ++i) {
    if (model_input_info(model, i, &info) != HETCOMP_OK) return fail(last_error());
    inputs[i] = malloc((size_t)info.size_bytes);
    if (fread(inputs[i], 1, (size_t)info.size_bytes, file) != info.size_bytes) return fail("IN");
  }
  fclose(file);
  for (i = 0; i < n_outputs; ++i) {
    if (model_output_info(model, i, &info) != HETCOMP_OK) return fail(last_error());
    sizes[i] = (size_t)info.size_bytes;
    outputs[i] = malloc(sizes[i]);
  }
  if (model_run(model, (const void* const*)inputs, outputs) != HETCOMP_OK) {
    return fail(last_error());
  }
  file = fopen(argv[4], "wb");
  for (i = 0; i < n_outputs; ++i) fwrite(outputs[i], 1, sizes[i], file);
  fclose(file);
  printf("%s\n", model_status_json(model));
  model_close(model);
  return 0;
}
