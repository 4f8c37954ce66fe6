#include "array_file.h"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace hetcomp::program {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kVersionBytes = 2;
constexpr size_t kHeaderAlignment = 64;

[[noreturn]] void Fail(const std::string& where, const std::string& what) {
  throw std::runtime_error("'" + where + "' " + what);
}

// Little-endian, whatever the alignment.
uint32_t Number(std::string_view data, size_t at, size_t bytes, const std::string& where) {
  if (at > data.size() || bytes > data.size() - at) Fail(where, "is truncated");
  uint32_t value = 0;
  for (size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(data[at + i]);
  return value;
}

std::string_view Part(std::string_view data, size_t at, size_t size, const std::string& where) {
  if (at > data.size() || size > data.size() - at) Fail(where, "is truncated");
  return data.substr(at, size);
}

// NumPy's name of an element type; bfloat16, which it lacks, as its bits.
std::string Descriptor(const std::string& dtype) {
  static const std::pair<const char*, const char*> kNames[] = {
      {"float32", "<f4"}, {"float16", "<f2"}, {"float64", "<f8"}, {"bfloat16", "<u2"},
      {"int8", "|i1"},    {"uint8", "|u1"},   {"int16", "<i2"},   {"uint16", "<u2"},
      {"int32", "<i4"},   {"uint32", "<u4"},  {"int64", "<i8"},   {"uint64", "<u8"},
      {"bool", "|b1"}};
  for (const auto& [ours, numpys] : kNames) {
    if (dtype == ours) return numpys;
  }
  throw std::runtime_error("NumPy's files have no name for element type " + dtype);
}

// As a Python tuple.
std::string ShapeText(const hetcomp_tensor_info& info) {
  std::string text = "(";
  for (int32_t i = 0; i < info.ndim; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(info.shape[i]);
  }
  return text + (info.ndim == 1 ? ",)" : ")");
}

std::string HeaderText(const hetcomp_tensor_info& info) {
  return "{'descr': '" + Descriptor(info.dtype) +
         "', 'fortran_order': False, 'shape': " + ShapeText(info) + ", }";
}

std::string_view Trimmed(std::string_view text) {
  const size_t end = text.find_last_not_of(" \n");
  return text.substr(0, end == std::string_view::npos ? 0 : end + 1);
}

}  // namespace

std::string ReadFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream data;
  if (!stream || !(data << stream.rdbuf())) Fail(path, "cannot be read");
  return data.str();
}

std::string_view ArrayIn(std::string_view file, const hetcomp_tensor_info& info,
                         const std::string& where) {
  if (file.substr(0, kMagic.size()) != kMagic) Fail(where, "is no .npy file");
  const size_t version_at = kMagic.size();
  const size_t length_bytes = Number(file, version_at, 1, where) == 1 ? 2 : 4;
  const size_t length_at = version_at + kVersionBytes;
  const size_t length = Number(file, length_at, length_bytes, where);
  const size_t header_at = length_at + length_bytes;
  // NumPy writes these fields in this order, sorted.
  const std::string_view header = Trimmed(Part(file, header_at, length, where));
  const std::string expected = HeaderText(info);
  if (header != expected) {
    Fail(where, "has " + std::string(header) + ", input '" + info.name + "' is " + expected);
  }
  return Part(file, header_at + length, info.size_bytes, where);
}

std::map<std::string, std::string_view> FilesIn(std::string_view archive,
                                                const std::string& where) {
  constexpr std::string_view kEnd = "PK\x05\x06";
  constexpr std::string_view kSuffix = ".npy";
  constexpr size_t kEntryBytes = 46;
  constexpr size_t kLocalBytes = 30;
  const size_t end = archive.rfind(kEnd);
  if (end == std::string_view::npos) Fail(where, "is no .npz archive");
  const uint32_t entries = Number(archive, end + 10, 2, where);
  size_t at = Number(archive, end + 16, 4, where);
  std::map<std::string, std::string_view> found;
  for (uint32_t i = 0; i < entries; ++i) {
    if (Number(archive, at + 10, 2, where) != 0) {
      Fail(where, "is compressed; write it by numpy.savez");
    }
    const uint32_t size = Number(archive, at + 24, 4, where);
    const uint32_t name_bytes = Number(archive, at + 28, 2, where);
    const uint32_t more_bytes =
        Number(archive, at + 30, 2, where) + Number(archive, at + 32, 2, where);
    const size_t local = Number(archive, at + 42, 4, where);
    const std::string_view name = Part(archive, at + kEntryBytes, name_bytes, where);
    const size_t data_at = local + kLocalBytes + Number(archive, local + 26, 2, where) +
                           Number(archive, local + 28, 2, where);
    if (name.size() > kSuffix.size()) {
      found.emplace(name.substr(0, name.size() - kSuffix.size()),
                    Part(archive, data_at, size, where));
    }
    at += kEntryBytes + name_bytes + more_bytes;
  }
  return found;
}

void WriteArray(const std::string& path, const hetcomp_tensor_info& info, const void* data) {
  std::string header = HeaderText(info);
  const size_t before = kMagic.size() + kVersionBytes + sizeof(uint16_t);
  const size_t rest = (before + header.size() + 1) % kHeaderAlignment;
  header.append(rest == 0 ? 0 : kHeaderAlignment - rest, ' ');
  header += '\n';
  std::ofstream stream(path, std::ios::binary);
  stream << kMagic << '\x01' << '\0' << static_cast<char>(header.size() & 0xFF)
         << static_cast<char>(header.size() >> 8) << header;
  stream.write(static_cast<const char*>(data), static_cast<std::streamsize>(info.size_bytes));
  if (!stream.flush()) Fail(path, "cannot be written");
}

}  // namespace hetcomp::program
