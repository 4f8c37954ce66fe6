/*
 * hetcomp.h: the C door of a compiled model (C99). Every model.so exports these functions.
 *
 * An application links model.so or dlopens it; model.so needs libtvm_ffi.so (set LD_LIBRARY_PATH),
 * finds OpenCL by itself, and runs on the CPU alone where OpenCL is absent or unsuitable.
 *
 * Errors: a function that can fail returns a hetcomp_status; the text is hetcomp_last_error() of
 * the same thread, valid until that thread's next call. No C++ exception leaves these functions.
 * Threads: all functions may be called from any thread; runs of one model are serialised.
 * Ownership: a hetcomp_model belongs to its opener until hetcomp_model_close. Every const char*
 * belongs to the model (or to the thread, for the error text) and must not be freed.
 */
#ifndef HETCOMP_H_
#define HETCOMP_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HETCOMP_ABI_VERSION 1

#if defined(__GNUC__)
#define HETCOMP_API __attribute__((visibility("default")))
#else
#define HETCOMP_API
#endif

typedef enum hetcomp_status {
  HETCOMP_OK = 0,
  HETCOMP_ERROR_INPUT = 1,   /* wrong options, index, or null pointer */
  HETCOMP_ERROR_DEVICE = 2,  /* OpenCL failed and there was no way to go on */
  HETCOMP_ERROR_INTERNAL = 3 /* anything else: a bug */
} hetcomp_status;

/* One loaded model with its memory; opaque. */
typedef struct hetcomp_model hetcomp_model;

/* One input or output. The pointers live as long as the model. */
typedef struct hetcomp_tensor_info {
  const char* name;
  const char* dtype; /* "float32", "int64", ... */
  int32_t ndim;
  const int64_t* shape;
  uint64_t size_bytes; /* dense, row-major */
} hetcomp_tensor_info;

/* The HETCOMP_ABI_VERSION that model.so was built with; compare before anything else. */
HETCOMP_API int32_t hetcomp_abi_version(void);

/* Opens the model. `options_json` may be NULL or "{}"; keys are listed in README.md. */
HETCOMP_API hetcomp_status hetcomp_model_open(const char* options_json, hetcomp_model** out);

/* Number of inputs and outputs, in the order of the ONNX model; -1 for a null model. */
HETCOMP_API int32_t hetcomp_model_input_count(const hetcomp_model* model);
HETCOMP_API int32_t hetcomp_model_output_count(const hetcomp_model* model);

HETCOMP_API hetcomp_status hetcomp_model_input_info(const hetcomp_model* model, int32_t index,
                                                    hetcomp_tensor_info* out);
HETCOMP_API hetcomp_status hetcomp_model_output_info(const hetcomp_model* model, int32_t index,
                                                     hetcomp_tensor_info* out);

/* One inference. inputs[i] and outputs[i] are dense host memory of the stated size; they are only
 * used during the call, may have any alignment, and outputs must not overlap anything else. */
HETCOMP_API hetcomp_status hetcomp_model_run(hetcomp_model* model, const void* const* inputs,
                                             void* const* outputs);

/* What runs where, as JSON; valid until this thread's next call. NULL on error. */
HETCOMP_API const char* hetcomp_model_status_json(hetcomp_model* model);

/* What the steps take, on average, against what was predicted, as JSON; valid until this thread's
 * next call. NULL on error. */
HETCOMP_API const char* hetcomp_model_stats_json(hetcomp_model* model);

/* The last steps as a Chrome trace, if the model was opened with {"trace": true}; valid until this
 * thread's next call. NULL on error. */
HETCOMP_API const char* hetcomp_model_trace_json(hetcomp_model* model);

/* Frees the model; NULL is allowed. No run of it may be in progress. */
HETCOMP_API void hetcomp_model_close(hetcomp_model* model);

/* Text of this thread's last failure, "" if there was none. */
HETCOMP_API const char* hetcomp_last_error(void);

#ifdef __cplusplus
}
#endif

#endif /* HETCOMP_H_ */
