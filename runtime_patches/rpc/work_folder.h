// Where clients' files lie.
#ifndef HETCOMP_RPC_WORK_FOLDER_H_
#define HETCOMP_RPC_WORK_FOLDER_H_

#include <filesystem>
#include <string>

namespace hetcomp::rpc {

// A folder of this process, removed with all that is in it; those that servers left behind which
// were killed are removed too.
class WorkFolder {
 public:
  explicit WorkFolder(const std::filesystem::path& parent);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Removes what a session has left.
  void Clear() const;

 private:
  std::filesystem::path path_;
};

// The file `name` in `folder`; throws std::runtime_error where it would lie elsewhere.
std::string FileIn(const std::filesystem::path& folder, const std::string& name);

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_WORK_FOLDER_H_
