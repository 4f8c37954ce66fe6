/* A C application for any model: dlopens model.so, runs it on a file of all inputs, writes a file
 * of all outputs; prints a line for each input and the status. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hetcomp.h"

#define MOST 512
#define LOAD(name)                                      \
  do {                                                  \
    *(void**)&name = dlsym(library, "hetcomp_" #name);  \
    if (name == NULL) return fail("no hetcomp_" #name); \
  } while (0)

static int fail(const char* text) {
  fprintf(stderr, "%s\n", text);
  return 1;
}

static int32_t (*abi_version)(void);
static hetcomp_status (*model_open)(const char*, hetcomp_model**);
static int32_t (*model_input_count)(const hetcomp_model*);
static int32_t (*model_output_count)(const hetcomp_model*);
static hetcomp_status (*model_input_info)(const hetcomp_model*, int32_t, hetcomp_tensor_info*);
static hetcomp_status (*model_output_info)(const hetcomp_model*, int32_t, hetcomp_tensor_info*);
static hetcomp_status (*model_run)(hetcomp_model*, const void* const*, void* const*);
static const char* (*model_status_json)(hetcomp_model*);
static void (*model_close)(hetcomp_model*);
static const char* (*last_error)(void);

/* argv: model.so, options, input file, output file */
int main(int argc, char** argv) {
  hetcomp_model* model = NULL;
  hetcomp_tensor_info info = {.struct_size = sizeof(info)};
  void* inputs[MOST];
  void* outputs[MOST];
  FILE* file;
  int32_t i, n_inputs, n_outputs;
  void* library = argc == 5 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (library == NULL) return fail(argc == 5 ? dlerror() : "usage");
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
  if (abi_version() != HETCOMP_ABI_VERSION) return fail("wrong ABI version");
  if (model_open("{\"plan\": \"absent\"}", &model) != HETCOMP_ERROR_INPUT) return fail("bad plan");
  if (strstr(last_error(), "absent") == NULL || model != NULL) return fail("bad plan's text");
  if (model_open("{", &model) != HETCOMP_ERROR_INPUT) return fail("bad options");
  if (model_open(argv[2], &model) != HETCOMP_OK) return fail(last_error());
  n_inputs = model_input_count(model);
  n_outputs = model_output_count(model);
  if (n_inputs > MOST || n_outputs > MOST) return fail("too many inputs or outputs");
  if (model_input_count(NULL) != -1) return fail("count of no model");
  if (model_input_info(model, n_inputs, &info) != HETCOMP_ERROR_INPUT) return fail("index");
  file = fopen(argv[3], "rb");
  for (i = 0; i < n_inputs; ++i) {
    if (model_input_info(model, i, &info) != HETCOMP_OK) return fail(last_error());
    printf("%s %s %d %ld\n", info.name, info.dtype, (int)info.ndim, (long)info.shape[0]);
    inputs[i] = malloc((size_t)info.size_bytes);
    if (fread(inputs[i], 1, (size_t)info.size_bytes, file) != info.size_bytes) return fail("read");
  }
  fclose(file);
  for (i = 0; i < n_outputs; ++i) {
    if (model_output_info(model, i, &info) != HETCOMP_OK) return fail(last_error());
    outputs[i] = malloc((size_t)info.size_bytes);
  }
  if (model_run(model, NULL, outputs) != HETCOMP_ERROR_INPUT) return fail("null inputs");
  if (model_run(model, (const void* const*)inputs, outputs) != HETCOMP_OK) {
    return fail(last_error());
  }
  file = fopen(argv[4], "wb");
  for (i = 0; i < n_outputs; ++i) {
    model_output_info(model, i, &info);
    fwrite(outputs[i], 1, (size_t)info.size_bytes, file);
  }
  fclose(file);
  printf("%s\n", model_status_json(model));
  model_close(model);
  model_close(NULL);
  return 0;
}
