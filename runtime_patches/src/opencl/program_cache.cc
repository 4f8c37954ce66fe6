#include "opencl/program_cache.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/checksum.h"

namespace hetcomp {
namespace {

namespace fs = std::filesystem;

constexpr char kMagic[8] = {'H', 'E', 'T', 'C', 'L', 'B', 'I', 'N'};
constexpr uint64_t kFormat = 1;
constexpr size_t kKeyDigits = 32;
constexpr const char* kSuffix = ".clbin";
constexpr uintmax_t kMaxFolderBytes = uintmax_t{256} << 20;
constexpr size_t kMaxBinaryBytes = kMaxFolderBytes / 4;

struct Header {
  char magic[8];
  uint64_t format;
  char key[kKeyDigits];
  uint64_t size;  // of the binary, which follows
  uint64_t sum;   // its WordSum
};

// An open file, closed at the end.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int descriptor() const { return descriptor_; }

  bool Read(void* data, size_t size) const {
    char* next = static_cast<char*>(data);
    while (size > 0) {
      const ssize_t n = read(descriptor_, next, size);
      if (n <= 0) return false;
      next += n;
      size -= static_cast<size_t>(n);
    }
    return true;
  }

  bool Write(const void* data, size_t size) const {
    const char* next = static_cast<const char*>(data);
    while (size > 0) {
      const ssize_t n = write(descriptor_, next, size);
      if (n <= 0) return false;
      next += n;
      size -= static_cast<size_t>(n);
    }
    return true;
  }

 private:
  const int descriptor_;
};

// Size of a regular file that nobody but this user could have written; 0 for any other.
size_t OwnSize(const File& file) {
  struct stat info;
  if (file.descriptor() < 0 || fstat(file.descriptor(), &info) != 0) return 0;
  const bool own = info.st_uid == geteuid() && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  return own && S_ISREG(info.st_mode) ? static_cast<size_t>(info.st_size) : 0;
}

// A write beyond the limit would kill the process by a signal.
bool FileSizeAllowed(size_t size) {
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && size <= limit.rlim_cur;
}

struct OldFile {
  fs::path path;
  uintmax_t size;
  fs::file_time_type used;
};

}  // namespace

std::string ProgramKey(std::initializer_list<std::string_view> parts) {
  using Word = unsigned __int128;
  constexpr Word kPrime = (Word{1} << 88) + 0x13B;
  Word hash = (Word{0x6C62272E07BB0142} << 64) + 0x62B821756295C58D;
  const auto add = [&](unsigned char byte) { hash = (hash ^ byte) * kPrime; };
  for (std::string_view part : parts) {
    std::for_each(part.begin(), part.end(), add);
    add(0);
  }
  char text[kKeyDigits + 1];
  std::snprintf(text, sizeof(text), "%016llx%016llx", static_cast<unsigned long long>(hash >> 64),
                static_cast<unsigned long long>(hash));
  return text;
}

std::string ProgramCache::PathOf(const std::string& key) const {
  return (fs::path(folder_) / (key + kSuffix)).string();
}

std::string ProgramCache::Read(const std::string& key) const {
  if (!on()) return {};
  const File file(open(PathOf(key).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  const size_t size = OwnSize(file);
  Header header;
  if (size < sizeof(header) || !file.Read(&header, sizeof(header))) return {};
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0 || header.format != kFormat ||
      key.compare(0, key.size(), header.key, kKeyDigits) != 0 ||
      header.size != size - sizeof(header) || header.size > kMaxBinaryBytes) {
    return {};
  }
  std::string binary(header.size, '\0');
  if (!file.Read(binary.data(), binary.size()) || WordSum(binary) != header.sum) return {};
  futimens(file.descriptor(), nullptr);  // it has been used: it shall not be dropped soon
  return binary;
}

void ProgramCache::Write(const std::string& key, std::string_view binary) const {
  if (!on() || binary.empty() || binary.size() > kMaxBinaryBytes) return;
  if (!FileSizeAllowed(sizeof(Header) + binary.size())) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return;
  std::string temporary = PathOf(key) + ".XXXXXX";
  const File file(mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  if (file.descriptor() < 0) return;
  Header header;
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  std::memcpy(header.key, key.data(), kKeyDigits);
  header.format = kFormat;
  header.size = binary.size();
  header.sum = WordSum(binary);
  if (!file.Write(&header, sizeof(header)) || !file.Write(binary.data(), binary.size()) ||
      std::rename(temporary.c_str(), PathOf(key).c_str()) != 0) {
    unlink(temporary.c_str());
    return;
  }
  DropOldest();
}

void ProgramCache::DropOldest() const {
  std::vector<OldFile> files;
  uintmax_t total = 0;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    // Temporary files that a killed process has left have a suffix behind this one.
    const std::string name = entry->path().filename().string();
    if (name.find(kSuffix) != kKeyDigits) continue;
    std::error_code gone;
    const OldFile file{entry->path(), entry->file_size(gone), entry->last_write_time(gone)};
    if (gone) continue;
    total += file.size;
    files.push_back(file);
  }
  const auto older = [](const OldFile& one, const OldFile& other) { return one.used < other.used; };
  std::sort(files.begin(), files.end(), older);
  for (const OldFile& file : files) {
    if (total <= kMaxFolderBytes) return;
    fs::remove(file.path, error);
    total -= file.size;
  }
}

}  // namespace hetcomp
