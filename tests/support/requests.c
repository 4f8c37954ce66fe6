/* Requests and buffers through the C door: submits inferences on made-up data, compares them with
 * hetcomp_model_run, cancels, and closes the model in the middle of others. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hetcomp.h"

#define MOST 16
#define REQUESTS 32
#define LOAD(name)                                      \
  do {                                                  \
    *(void**)&name = dlsym(library, "hetcomp_" #name);  \
    if (name == NULL) return fail("no hetcomp_" #name); \
  } while (0)
#define EXPECT(condition)                      \
  do {                                         \
    if (!(condition)) return fail(#condition); \
  } while (0)

static int32_t (*abi_version)(void);
static const char* (*status_name)(hetcomp_status);
static hetcomp_status (*model_open)(const char*, hetcomp_model**);
static void (*model_close)(hetcomp_model*);
static int32_t (*model_input_count)(const hetcomp_model*);
static int32_t (*model_output_count)(const hetcomp_model*);
static hetcomp_status (*model_input_info)(const hetcomp_model*, int32_t, hetcomp_tensor_info*);
static hetcomp_status (*model_output_info)(const hetcomp_model*, int32_t, hetcomp_tensor_info*);
static hetcomp_status (*model_buffer)(hetcomp_model*, const char*, void**);
static hetcomp_status (*model_run)(hetcomp_model*, const void* const*, void* const*);
static hetcomp_status (*model_submit)(hetcomp_model*, const void* const*, void* const*,
                                      hetcomp_request**);
static hetcomp_status (*request_wait)(hetcomp_request*, int64_t);
static hetcomp_status (*request_cancel)(hetcomp_request*);
static void (*request_free)(hetcomp_request*);
static hetcomp_status (*model_use_plan)(hetcomp_model*, const char*);
static const char* (*last_error)(void);

static hetcomp_model* model = NULL;
static void* inputs[MOST];
static void* outputs[MOST]; /* the model's buffers */
static void* expected[MOST];
static uint64_t sizes[MOST];
static int32_t n_inputs, n_outputs;

static int fail(const char* text) {
  fprintf(stderr, "%s: %s\n", text, last_error == NULL ? "" : last_error());
  return 1;
}

static int prepare(void) {
  hetcomp_tensor_info info;
  void* again = NULL;
  int32_t i;
  info.struct_size = 8;
  EXPECT(model_input_info(model, 0, &info) == HETCOMP_ERROR_INPUT);
  EXPECT(strstr(last_error(), "struct_size is 8") != NULL);
  info.struct_size = sizeof(info);
  for (i = 0; i < n_inputs; ++i) {
    uint64_t k;
    EXPECT(model_input_info(model, i, &info) == HETCOMP_OK);
    EXPECT(model_buffer(model, info.name, &inputs[i]) == HETCOMP_OK);
    for (k = 0; k < info.size_bytes / 4; ++k) ((float*)inputs[i])[k] = (float)((k * 7 + 3) % 17);
  }
  for (i = 0; i < n_outputs; ++i) {
    EXPECT(model_output_info(model, i, &info) == HETCOMP_OK);
    EXPECT(model_buffer(model, info.name, &outputs[i]) == HETCOMP_OK);
    sizes[i] = info.size_bytes;
    expected[i] = malloc((size_t)info.size_bytes);
  }
  EXPECT(model_buffer(model, "absent", &again) == HETCOMP_ERROR_INPUT && again == NULL);
  EXPECT(model_buffer(model, info.name, &again) == HETCOMP_OK && again == outputs[n_outputs - 1]);
  return 0;
}

static int same(void* const* got) {
  int32_t i;
  for (i = 0; i < n_outputs; ++i) {
    if (memcmp(got[i], expected[i], (size_t)sizes[i]) != 0) return 0;
  }
  return 1;
}

static int in_place(const char* plan) {
  int32_t i;
  EXPECT(model_use_plan(model, plan) == HETCOMP_OK);
  for (i = 0; i < n_outputs; ++i) memset(outputs[i], 0x7f, (size_t)sizes[i]);
  EXPECT(model_run(model, (const void* const*)inputs, outputs) == HETCOMP_OK);
  EXPECT(same(outputs));
  return 0;
}

static int submit_all(hetcomp_request** requests, void* (*own)[MOST]) {
  int32_t i, k;
  for (k = 0; k < REQUESTS; ++k) {
    for (i = 0; i < n_outputs; ++i) own[k][i] = calloc(1, (size_t)sizes[i]);
    EXPECT(model_submit(model, (const void* const*)inputs, own[k], &requests[k]) == HETCOMP_OK);
  }
  return 0;
}

static int wait_for_all(void) {
  hetcomp_request* requests[REQUESTS];
  static void* own[REQUESTS][MOST];
  int32_t k;
  if (submit_all(requests, own)) return 1;
  for (k = 0; k < REQUESTS; ++k) {
    EXPECT(request_wait(requests[k], 10000) == HETCOMP_OK);
    EXPECT(request_wait(requests[k], 0) == HETCOMP_OK);
    EXPECT(request_cancel(requests[k]) == HETCOMP_PENDING);
    EXPECT(same(own[k]));
    request_free(requests[k]);
  }
  request_free(NULL);
  return 0;
}

/* Some have run, some never will; all can still be asked. */
static int close_in_the_middle(void) {
  hetcomp_request* requests[REQUESTS];
  static void* own[REQUESTS][MOST];
  int32_t k, done = 0;
  if (submit_all(requests, own)) return 1;
  EXPECT(request_wait(requests[0], -1) == HETCOMP_OK);
  request_cancel(requests[REQUESTS - 1]);
  model_close(model);
  for (k = 0; k < REQUESTS; ++k) {
    const hetcomp_status status = request_wait(requests[k], 0);
    EXPECT(status == HETCOMP_OK || status == HETCOMP_CANCELLED);
    EXPECT(status == HETCOMP_CANCELLED || same(own[k]));
    done += status == HETCOMP_OK;
    request_free(requests[k]);
  }
  EXPECT(done >= 1);
  return 0;
}

/* argv: model.so, options, a plan to change to */
int main(int argc, char** argv) {
  void* library = argc == 4 ? dlopen(argv[1], RTLD_NOW) : NULL;
  int32_t i;
  if (library == NULL) return fail(argc == 4 ? dlerror() : "usage");
  LOAD(abi_version);
  LOAD(status_name);
  LOAD(model_open);
  LOAD(model_close);
  LOAD(model_input_count);
  LOAD(model_output_count);
  LOAD(model_input_info);
  LOAD(model_output_info);
  LOAD(model_buffer);
  LOAD(model_run);
  LOAD(model_submit);
  LOAD(request_wait);
  LOAD(request_cancel);
  LOAD(request_free);
  LOAD(model_use_plan);
  LOAD(last_error);
  EXPECT(abi_version() == HETCOMP_ABI_VERSION);
  EXPECT(strcmp(status_name(HETCOMP_PENDING), "HETCOMP_PENDING") == 0);
  EXPECT(strcmp(status_name((hetcomp_status)99), "unknown status") == 0);
  EXPECT(model_open(argv[2], &model) == HETCOMP_OK);
  n_inputs = model_input_count(model);
  n_outputs = model_output_count(model);
  if (prepare()) return 1;
  EXPECT(model_run(model, (const void* const*)inputs, expected) == HETCOMP_OK);
  if (in_place("cpu") || in_place(argv[3]) || wait_for_all()) return 1;
  for (i = 0; i < n_outputs; ++i) outputs[i] = NULL;
  EXPECT(model_submit(model, (const void* const*)inputs, outputs, NULL) == HETCOMP_ERROR_INPUT);
  EXPECT(request_wait(NULL, 0) == HETCOMP_ERROR_INPUT);
  return close_in_the_middle();
}
