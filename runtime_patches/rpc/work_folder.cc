#include "work_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace hetcomp::rpc {
namespace {

namespace fs = std::filesystem;

constexpr int kTries = 8;

std::string Prefix() { return "hetcomp-rpc-" + std::to_string(getuid()) + "-"; }

void Warn(const char* what, const fs::path& path, const std::error_code& error) {
  std::fprintf(stderr, "cannot %s %s: %s\n", what, path.c_str(), error.message().c_str());
}

void Remove(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) Warn("remove", path, error);
}

// A lock on a folder of this user's, until it is closed; none where another server has it. A
// process' number would not do: it is used again, and means another process in another container.
Descriptor Locked(const fs::path& path) {
  Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat found {};
  if (!folder.open() || fstat(folder.get(), &found) != 0) return {};
  if (found.st_uid != getuid() || flock(folder.get(), LOCK_EX | LOCK_NB) != 0) return {};
  return folder;
}

// Whether `path` is still the folder that was opened.
bool IsThere(const fs::path& path, const Descriptor& folder) {
  struct stat now {
  }, then{};
  if (lstat(path.c_str(), &now) != 0 || fstat(folder.get(), &then) != 0) return false;
  return now.st_dev == then.st_dev && now.st_ino == then.st_ino;
}

// Folders of servers that are no more.
void RemoveStale(const fs::path& parent) {
  std::error_code error;
  const std::string prefix = Prefix();
  fs::directory_iterator entry(parent, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const fs::path path = entry->path();
    if (path.filename().string().compare(0, prefix.size(), prefix) != 0) continue;
    const Descriptor lock = Locked(path);
    if (lock.open()) Remove(path);
  }
  if (error) Warn("list", parent, error);
}

}  // namespace

WorkFolder::WorkFolder(fs::path parent) : parent_(fs::absolute(std::move(parent))) {
  Make();
  RemoveStale(parent_);
}

WorkFolder::~WorkFolder() { Remove(path_); }

void WorkFolder::Clear() const {
  std::error_code error;
  fs::directory_iterator entry(path_, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    Remove(entry->path());
  }
  if (error) Warn("clear", path_, error);
}

void WorkFolder::Ensure() {
  if (!IsThere(path_, lock_)) Make();
}

void WorkFolder::Make() {
  for (int tried = 0; tried < kTries; ++tried) {
    std::string name = parent_ / (Prefix() + "XXXXXX");
    if (mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error("mkdtemp " + name + ": " + std::strerror(errno));
    }
    lock_ = Locked(name);
    path_ = std::move(name);
    // Before it had its lock, another server that starts may have taken it for a stale one.
    if (lock_.open() && IsThere(path_, lock_)) return;
    Remove(path_);
  }
  throw std::runtime_error("cannot lock folders in " + parent_.string() + ": choose another");
}

std::string FileIn(const fs::path& folder, const std::string& name) {
  const fs::path path(name);
  if (name.empty() || path.filename() != path || name == "." || name == "..") {
    throw std::runtime_error("'" + name + "' is not the plain name of a file");
  }
  return folder / path;
}

}  // namespace hetcomp::rpc
