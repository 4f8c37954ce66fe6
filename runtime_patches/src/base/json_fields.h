// Typed access to parsed JSON; every failure names the key.
#ifndef HETCOMP_JSON_FIELDS_H_
#define HETCOMP_JSON_FIELDS_H_

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/extra/json.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace hetcomp {

namespace json = tvm::ffi::json;

inline json::Value ParseText(std::string_view text, const char* what) {
  tvm::ffi::String error;
  json::Value value = json::Parse(tvm::ffi::String(text.data(), text.size()), &error);
  if (error.size() != 0) ThrowInput(std::string(what) + ": not JSON: " + std::string(error));
  return value;
}

// One JSON object; `what` says what it describes and must outlive it.
class Fields {
 public:
  Fields(const json::Value& value, const char* what) : what_(what) {
    auto object = value.try_cast<json::Object>();
    if (!object.has_value()) ThrowInput(std::string(what) + ": expected a JSON object");
    object_ = *object;
  }

  tvm::ffi::Any At(const char* key) const {
    auto it = object_.find(tvm::ffi::String(key));
    if (it == object_.end()) ThrowInput(std::string(what_) + ": no key \"" + key + "\"");
    return (*it).second;
  }

  int64_t Int(const char* key) const { return Cast<int64_t>(At(key), key); }
  int SmallInt(const char* key) const {
    const int64_t value = Int(key);
    if (value < INT32_MIN || value > INT32_MAX) Bad(key);
    return static_cast<int>(value);
  }
  size_t Size(const char* key) const {
    const int64_t value = Int(key);
    if (value < 0) Bad(key);
    return static_cast<size_t>(value);
  }
  double Number(const char* key) const { return Cast<double>(At(key), key); }
  bool Bool(const char* key) const { return Cast<bool>(At(key), key); }
  std::string Text(const char* key) const {
    return std::string(Cast<tvm::ffi::String>(At(key), key));
  }
  std::vector<std::string> Texts(const char* key) const {
    std::vector<std::string> result;
    for (const tvm::ffi::Any& item : List(key)) {
      result.emplace_back(Cast<tvm::ffi::String>(item, key));
    }
    return result;
  }
  json::Array List(const char* key) const { return Cast<json::Array>(At(key), key); }

  template <typename T>
  std::vector<T> Ints(const char* key) const {
    std::vector<T> result;
    for (const tvm::ffi::Any& item : List(key)) {
      result.push_back(static_cast<T>(Cast<int64_t>(item, key)));
    }
    return result;
  }

 private:
  [[noreturn]] void Bad(const char* key) const {
    ThrowInput(std::string(what_) + ": key \"" + key + "\" has a wrong type or value");
  }

  template <typename T>
  T Cast(const tvm::ffi::Any& value, const char* key) const {
    auto result = value.try_cast<T>();
    if (!result.has_value()) Bad(key);
    return *result;
  }

  const char* what_;
  json::Object object_;
};

}  // namespace hetcomp

#endif  // HETCOMP_JSON_FIELDS_H_
