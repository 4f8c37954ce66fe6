// Where clients' files lie.
#ifndef HETCOMP_RPC_WORK_FOLDER_H_
#define HETCOMP_RPC_WORK_FOLDER_H_

#include <filesystem>
#include <string>

#include "descriptor.h"

namespace hetcomp::rpc {

// A folder of this server, removed with all that is in it. The server holds a lock on it; folders
// of servers that were killed bear none and are removed too.
class WorkFolder {
 public:
  // Throws std::runtime_error if nothing can be made in `parent`.
  explicit WorkFolder(std::filesystem::path parent);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // File that holds the lock.
  int lock_fd() const { return lock_.get(); }
  // Removes what a session has left; says on stderr what cannot be removed.
  void Clear() const;
  // Makes another if a cleaner has removed it. Throws std::runtime_error if that fails.
  void Ensure();

 private:
  void Make();

  const std::filesystem::path parent_;
  std::filesystem::path path_;
  Descriptor lock_;
};

// The file `name` in `folder`; throws std::runtime_error where it would lie elsewhere.
std::string FileIn(const std::filesystem::path& folder, const std::string& name);

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_WORK_FOLDER_H_
