// Writing of small JSON documents.
#ifndef HETCOMP_JSON_WRITER_H_
#define HETCOMP_JSON_WRITER_H_

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace hetcomp {

inline std::string JsonString(const std::string& text) {
  std::string result = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += static_cast<char>(c);
    } else if (c < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", c);
      result += escaped;
    } else {
      result += static_cast<char>(c);
    }
  }
  return result + "\"";
}

inline std::string JsonNumber(double value) {
  if (!std::isfinite(value)) return "null";
  char text[32];
  std::snprintf(text, sizeof(text), "%.4f", value);
  return text;
}

inline std::string JsonList(const std::vector<std::string>& items) {
  std::string result = "[";
  for (const std::string& item : items) result += (result.size() > 1 ? "," : "") + item;
  return result + "]";
}

inline std::string JsonNumbers(const std::vector<double>& values) {
  std::vector<std::string> items;
  for (double value : values) items.push_back(JsonNumber(value));
  return JsonList(items);
}

// Builds one object, key by key.
class JsonObject {
 public:
  JsonObject& Raw(const char* key, const std::string& json) {
    text_ += (text_.size() > 1 ? "," : "") + JsonString(key) + ":" + json;
    return *this;
  }
  JsonObject& Text(const char* key, const std::string& value) {
    return Raw(key, JsonString(value));
  }
  JsonObject& Number(const char* key, double value) { return Raw(key, JsonNumber(value)); }
  JsonObject& Count(const char* key, long long value) { return Raw(key, std::to_string(value)); }
  JsonObject& Flag(const char* key, bool value) { return Raw(key, value ? "true" : "false"); }
  std::string Done() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

}  // namespace hetcomp

#endif  // HETCOMP_JSON_WRITER_H_
