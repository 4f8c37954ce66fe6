#include "work_folder.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace hetcomp::rpc {
namespace {

namespace fs = std::filesystem;

std::string Prefix() { return "hetcomp-rpc-" + std::to_string(getuid()) + "-"; }

void Remove(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) std::fprintf(stderr, "cannot remove %s: %s\n", path.c_str(), error.message().c_str());
}

// Folders of processes that are no more.
void RemoveStale(const fs::path& parent) {
  const std::string prefix = Prefix();
  for (const auto& entry : fs::directory_iterator(parent)) {
    const std::string name = entry.path().filename().string();
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    const int pid = std::atoi(name.c_str() + prefix.size());
    if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH) Remove(entry.path());
  }
}

}  // namespace

WorkFolder::WorkFolder(const fs::path& parent)
    : path_(fs::absolute(parent) / (Prefix() + std::to_string(getpid()))) {
  RemoveStale(parent);
  if (mkdir(path_.c_str(), S_IRWXU) != 0) {
    throw std::runtime_error("mkdir " + path_.string() + ": " + std::strerror(errno));
  }
}

WorkFolder::~WorkFolder() { Remove(path_); }

void WorkFolder::Clear() const {
  for (const auto& entry : fs::directory_iterator(path_)) Remove(entry.path());
}

std::string FileIn(const fs::path& folder, const std::string& name) {
  const fs::path path(name);
  if (name.empty() || path.filename() != path || name == "." || name == "..") {
    throw std::runtime_error("'" + name + "' is not the plain name of a file");
  }
  return folder / path;
}

}  // namespace hetcomp::rpc
