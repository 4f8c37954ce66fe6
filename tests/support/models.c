/* Several model.so in one process: each is opened, and requests go round all of them at once. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hetcomp.h"

#define MOST 8
#define ROUNDS 50
#define LOAD(name)                                         \
  do {                                                     \
    *(void**)&m->name = dlsym(library, "hetcomp_" #name);  \
    if (m->name == NULL) return fail("no hetcomp_" #name); \
  } while (0)
#define EXPECT(condition)                       \
  do {                                          \
    if (!(condition)) {                         \
      fprintf(stderr, "%s\n", m->last_error()); \
      return fail(#condition);                  \
    }                                           \
  } while (0)

typedef struct loaded {
  int32_t (*abi_version)(void);
  hetcomp_status (*model_open)(const char*, hetcomp_model**);
  void (*model_close)(hetcomp_model*);
  int32_t (*model_input_count)(const hetcomp_model*);
  int32_t (*model_output_count)(const hetcomp_model*);
  hetcomp_status (*model_input_info)(const hetcomp_model*, int32_t, hetcomp_tensor_info*);
  hetcomp_status (*model_output_info)(const hetcomp_model*, int32_t, hetcomp_tensor_info*);
  hetcomp_status (*model_run)(hetcomp_model*, const void* const*, void* const*);
  hetcomp_status (*model_submit)(hetcomp_model*, const void* const*, void* const*,
                                 hetcomp_request**);
  hetcomp_status (*request_wait)(hetcomp_request*, int64_t);
  void (*request_free)(hetcomp_request*);
  const char* (*model_status_json)(hetcomp_model*);
  const char* (*last_error)(void);
  hetcomp_model* model;
  void* inputs[MOST];
  void* outputs[MOST];
  void* expected[MOST];
  uint64_t sizes[MOST];
  int32_t n_outputs;
} loaded;

static int fail(const char* text) {
  fprintf(stderr, "%s\n", text);
  return 1;
}

static int load(loaded* m, const char* path, const char* options) {
  void* library = dlopen(path, RTLD_NOW);
  hetcomp_tensor_info info = {.struct_size = sizeof(info)};
  int32_t i, n_inputs;
  if (library == NULL) return fail(dlerror());
  LOAD(abi_version);
  LOAD(model_open);
  LOAD(model_close);
  LOAD(model_input_count);
  LOAD(model_output_count);
  LOAD(model_input_info);
  LOAD(model_output_info);
  LOAD(model_run);
  LOAD(model_submit);
  LOAD(request_wait);
  LOAD(request_free);
  LOAD(model_status_json);
  LOAD(last_error);
  if (m->abi_version() != HETCOMP_ABI_VERSION) return fail("wrong ABI version");
  EXPECT(m->model_open(options, &m->model) == HETCOMP_OK);
  n_inputs = m->model_input_count(m->model);
  m->n_outputs = m->model_output_count(m->model);
  for (i = 0; i < n_inputs; ++i) {
    uint64_t k;
    EXPECT(m->model_input_info(m->model, i, &info) == HETCOMP_OK);
    m->inputs[i] = malloc((size_t)info.size_bytes);
    for (k = 0; k < info.size_bytes / 4; ++k) ((float*)m->inputs[i])[k] = (float)((k * 5) % 13);
  }
  for (i = 0; i < m->n_outputs; ++i) {
    EXPECT(m->model_output_info(m->model, i, &info) == HETCOMP_OK);
    m->sizes[i] = info.size_bytes;
    m->outputs[i] = malloc((size_t)info.size_bytes);
    m->expected[i] = malloc((size_t)info.size_bytes);
  }
  EXPECT(m->model_run(m->model, (const void* const*)m->inputs, m->expected) == HETCOMP_OK);
  return 0;
}

static int wait_and_check(loaded* m, hetcomp_request* request) {
  int32_t i;
  EXPECT(m->request_wait(request, 20000) == HETCOMP_OK);
  m->request_free(request);
  for (i = 0; i < m->n_outputs; ++i) {
    EXPECT(memcmp(m->outputs[i], m->expected[i], (size_t)m->sizes[i]) == 0);
    memset(m->outputs[i], 0, (size_t)m->sizes[i]);
  }
  return 0;
}

/* argv: options, model.so... ; prints each model's status. */
int main(int argc, char** argv) {
  static loaded models[MOST];
  hetcomp_request* requests[MOST];
  const int n = argc - 2;
  int i, round;
  if (n < 1 || n > MOST) return fail("usage");
  for (i = 0; i < n; ++i) {
    if (load(&models[i], argv[i + 2], argv[1])) return 1;
  }
  for (round = 0; round < ROUNDS; ++round) {
    for (i = 0; i < n; ++i) {
      loaded* m = &models[i];
      EXPECT(m->model_submit(m->model, (const void* const*)m->inputs, m->outputs, &requests[i]) ==
             HETCOMP_OK);
    }
    for (i = 0; i < n; ++i) {
      if (wait_and_check(&models[i], requests[i])) return 1;
    }
  }
  for (i = 0; i < n; ++i) {
    printf("%s\n", models[i].model_status_json(models[i].model));
    models[i].model_close(models[i].model);
  }
  return 0;
}
