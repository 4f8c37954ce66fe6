/*
 * hetcomp.h: the C door of a compiled model (C99, C++). Every model.so exports these functions.
 *
 * An application links one model.so or dlopens any number, of different versions too; functions of
 * a dlopened one come from dlsym with its handle, since all have the same names, and last errors
 * are each library's own. model.so needs libtvm_ffi.so (set LD_LIBRARY_PATH), finds OpenCL by
 * itself, and runs on the CPU alone where OpenCL is absent or unsuitable.
 *
 * Versions: call hetcomp_abi_version before anything else. It changes when a function or a status
 * changes its meaning; functions may be added without. Structures that the caller provides begin
 * with their size, so that they may grow at the end.
 *
 * Errors: a function that can fail returns a hetcomp_status; the text is hetcomp_last_error() of
 * the same thread, valid until that thread's next call. No C++ exception leaves these functions.
 *
 * Threads: every function may be called from any thread, and several threads may use one model at
 * a time, unless said otherwise: its inferences run one after the other.
 *
 * Ownership: a hetcomp_model belongs to its opener until hetcomp_model_close, a hetcomp_request to
 * its submitter until hetcomp_request_free. Every const char* belongs to the library and must not
 * be freed; those of a model's tensors live as long as the model.
 */
#ifndef HETCOMP_H_
#define HETCOMP_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HETCOMP_ABI_VERSION 2

#if defined(__GNUC__)
#define HETCOMP_API __attribute__((visibility("default")))
#else
#define HETCOMP_API
#endif

typedef enum hetcomp_status {
  HETCOMP_OK = 0,
  HETCOMP_ERROR_INPUT = 1,    /* wrong options, name, index, size or null pointer */
  HETCOMP_ERROR_DEVICE = 2,   /* OpenCL failed and there was no way to go on */
  HETCOMP_ERROR_INTERNAL = 3, /* anything else: a bug, or no memory */
  HETCOMP_CANCELLED = 4,      /* the request was given up before it began */
  HETCOMP_PENDING = 5         /* the request has not ended in the given time */
} hetcomp_status;

/* One loaded model with its memory; opaque. */
typedef struct hetcomp_model hetcomp_model;

/* One inference that was asked for without waiting; opaque. */
typedef struct hetcomp_request hetcomp_request;

/* One input or output. */
typedef struct hetcomp_tensor_info {
  uint32_t struct_size; /* the caller's sizeof(hetcomp_tensor_info), set before the call */
  int32_t ndim;
  const char* name;
  const char* dtype; /* "float32", "int64", ... */
  const int64_t* shape;
  uint64_t size_bytes; /* dense, row-major */
} hetcomp_tensor_info;

/* The HETCOMP_ABI_VERSION that model.so was built with. Never fails. */
HETCOMP_API int32_t hetcomp_abi_version(void);

/* The name of a status, "HETCOMP_OK" and so on; "unknown status" for any other number. */
HETCOMP_API const char* hetcomp_status_name(hetcomp_status status);

/* Text of this thread's last failure, "" if its last call did not fail. */
HETCOMP_API const char* hetcomp_last_error(void);

/* Opens the model. `options_json` may be NULL or "{}"; keys are listed in runtime_patches/README.md
 * of hetcomp. On success *out belongs to the caller, otherwise it is NULL. May take seconds: OpenCL
 * kernels are built. A device that does not answer is given up after two minutes in the probe, or
 * 300 s in the first run of the kernels. */
HETCOMP_API hetcomp_status hetcomp_model_open(const char* options_json, hetcomp_model** out);

/* Frees the model; NULL is allowed. Requests that have not begun are cancelled; calls and requests
 * in progress are waited for: each ends within the device's time-out and an inference on the CPU.
 * No other function may be called with the model at the same time as this or later, except that
 * calls which began before may still be in progress. Requests must still be freed. */
HETCOMP_API void hetcomp_model_close(hetcomp_model* model);

/* Number of inputs and outputs, in the order of the ONNX model; -1 for a null model. */
HETCOMP_API int32_t hetcomp_model_input_count(const hetcomp_model* model);
HETCOMP_API int32_t hetcomp_model_output_count(const hetcomp_model* model);

/* Fills *out, of which the caller has set struct_size. */
HETCOMP_API hetcomp_status hetcomp_model_input_info(const hetcomp_model* model, int32_t index,
                                                    hetcomp_tensor_info* out);
HETCOMP_API hetcomp_status hetcomp_model_output_info(const hetcomp_model* model, int32_t index,
                                                     hetcomp_tensor_info* out);

/* Memory of an input or output, of its size, aligned to 64 bytes. It belongs to the model and keeps
 * its address until the model is closed, whatever the plan. Inferences that are given this pointer
 * copy nothing where the device shares memory with the CPU. Its contents stay until an inference is
 * given other memory for this tensor. Threads must not write an input or read an output while an
 * inference uses it.
 * One exception: when the device is given up ("device_bad" in the status), a kernel that hangs may
 * still write to the outputs one day. The old memory stays readable and usable, but call this
 * again for memory that no kernel knows.
 * The first call prepares the plan anew and waits for an inference in progress. Not in a pipeline:
 * HETCOMP_ERROR_INPUT. */
HETCOMP_API hetcomp_status hetcomp_model_buffer(hetcomp_model* model, const char* name, void** out);

/* One inference. inputs[i] and outputs[i] are dense host memory of the stated size; they are only
 * used during the call, may have any alignment, and outputs must not overlap anything else. */
HETCOMP_API hetcomp_status hetcomp_model_run(hetcomp_model* model, const void* const* inputs,
                                             void* const* outputs);

/* Asks for an inference and returns at once. Requests of a model begin in the order in which they
 * were submitted. The memory of inputs and outputs must stay, the inputs unchanged, until the
 * request has ended; the two lists of pointers are copied. On success *out belongs to the caller,
 * otherwise it is NULL. */
HETCOMP_API hetcomp_status hetcomp_model_submit(hetcomp_model* model, const void* const* inputs,
                                                void* const* outputs, hetcomp_request** out);

/* Waits until the request has ended, at most `timeout_ms` milliseconds; 0 only looks, a negative
 * time has no limit. HETCOMP_PENDING where it has not ended, else the status of the inference,
 * with its text. Any number of times and threads, also after the model was closed. */
HETCOMP_API hetcomp_status hetcomp_request_wait(hetcomp_request* request, int64_t timeout_ms);

/* Gives up a request that has not begun: HETCOMP_OK if it will not run, HETCOMP_PENDING if it has
 * begun or ended. */
HETCOMP_API hetcomp_status hetcomp_request_cancel(hetcomp_request* request);

/* Cancels the request, or waits for it if it has begun, and frees it; NULL is allowed. No other
 * function may be called with it at the same time or later. */
HETCOMP_API void hetcomp_request_free(hetcomp_request* request);

/* Uses another of the model's plans from the next inference on. */
HETCOMP_API hetcomp_status hetcomp_model_use_plan(hetcomp_model* model, const char* plan);

/* What runs where, as JSON; valid until this thread's next call. NULL on error. */
HETCOMP_API const char* hetcomp_model_status_json(hetcomp_model* model);

/* What the steps take, on average, against what was predicted, as JSON; valid until this thread's
 * next call. NULL on error. */
HETCOMP_API const char* hetcomp_model_stats_json(hetcomp_model* model);

/* The last steps as a Chrome trace, if the model was opened with {"trace": true}; valid until this
 * thread's next call. NULL on error. */
HETCOMP_API const char* hetcomp_model_trace_json(hetcomp_model* model);

#ifdef __cplusplus
}
#endif

#endif /* HETCOMP_H_ */
