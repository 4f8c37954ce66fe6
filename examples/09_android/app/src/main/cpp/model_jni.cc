// What object Library calls: hetcomp.h with Java's types. Inputs and outputs are the model's own
// memory, seen by Java as direct byte buffers, so that nothing is copied.
#include <jni.h>

#include "hetcomp.h"

namespace {

using InfoOf = hetcomp_status (*)(const hetcomp_model*, int32_t, hetcomp_tensor_info*);

constexpr int kMostTensors = 16;

hetcomp_model* Model(jlong handle) { return reinterpret_cast<hetcomp_model*>(handle); }

// Whether the call succeeded; otherwise Java has an exception to throw.
bool Check(JNIEnv* env, hetcomp_status status) {
  if (status == HETCOMP_OK) return true;
  env->ThrowNew(env->FindClass("java/lang/IllegalStateException"), hetcomp_last_error());
  return false;
}

// The model's memory of all inputs or outputs.
bool Memory(JNIEnv* env, hetcomp_model* model, int32_t count, InfoOf info_of, void** data) {
  if (count > kMostTensors) {
    env->ThrowNew(env->FindClass("java/lang/IllegalStateException"), "too many tensors");
    return false;
  }
  for (int32_t i = 0; i < count; ++i) {
    hetcomp_tensor_info info = {sizeof(info), 0, nullptr, nullptr, nullptr, 0};
    if (!Check(env, info_of(model, i, &info))) return false;
    if (!Check(env, hetcomp_model_buffer(model, info.name, &data[i]))) return false;
  }
  return true;
}

jobject Buffer(JNIEnv* env, jlong handle, jint index, InfoOf info_of) {
  hetcomp_tensor_info info = {sizeof(info), 0, nullptr, nullptr, nullptr, 0};
  void* data = nullptr;
  if (!Check(env, info_of(Model(handle), index, &info))) return nullptr;
  if (!Check(env, hetcomp_model_buffer(Model(handle), info.name, &data))) return nullptr;
  return env->NewDirectByteBuffer(data, static_cast<jlong>(info.size_bytes));
}

}  // namespace

extern "C" {

JNIEXPORT jlong JNICALL Java_dev_hetcomp_sample_Library_open(JNIEnv* env, jobject,
                                                             jstring options) {
  const char* text = env->GetStringUTFChars(options, nullptr);
  if (text == nullptr) return 0;  // Java throws: out of memory
  hetcomp_model* model = nullptr;
  const hetcomp_status status = hetcomp_model_open(text, &model);
  env->ReleaseStringUTFChars(options, text);
  return Check(env, status) ? reinterpret_cast<jlong>(model) : 0;
}

JNIEXPORT jobject JNICALL Java_dev_hetcomp_sample_Library_input(JNIEnv* env, jobject, jlong handle,
                                                                jint index) {
  return Buffer(env, handle, index, hetcomp_model_input_info);
}

JNIEXPORT jobject JNICALL Java_dev_hetcomp_sample_Library_output(JNIEnv* env, jobject, jlong handle,
                                                                 jint index) {
  return Buffer(env, handle, index, hetcomp_model_output_info);
}

JNIEXPORT void JNICALL Java_dev_hetcomp_sample_Library_run(JNIEnv* env, jobject, jlong handle) {
  hetcomp_model* const model = Model(handle);
  void* inputs[kMostTensors];
  void* outputs[kMostTensors];
  const int32_t n_inputs = hetcomp_model_input_count(model);
  const int32_t n_outputs = hetcomp_model_output_count(model);
  if (!Memory(env, model, n_inputs, hetcomp_model_input_info, inputs)) return;
  if (!Memory(env, model, n_outputs, hetcomp_model_output_info, outputs)) return;
  Check(env, hetcomp_model_run(model, inputs, outputs));
}

JNIEXPORT jstring JNICALL Java_dev_hetcomp_sample_Library_status(JNIEnv* env, jobject,
                                                                 jlong handle) {
  const char* text = hetcomp_model_status_json(Model(handle));
  if (text != nullptr) return env->NewStringUTF(text);
  Check(env, HETCOMP_ERROR_INTERNAL);
  return nullptr;
}

JNIEXPORT void JNICALL Java_dev_hetcomp_sample_Library_close(JNIEnv*, jobject, jlong handle) {
  hetcomp_model_close(Model(handle));
}

}  // extern "C"
