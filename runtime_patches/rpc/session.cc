#include "session.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <utility>

#include "work_folder.h"

namespace hetcomp::rpc {
namespace {

namespace ffi = tvm::ffi;

// The functions that TVM's RPC expects of a server, over files of `folder`; and one of ours, by
// which a client tells drivers what it wants of them.
void Register(const std::filesystem::path& folder) {
  const auto path = [folder](const ffi::String& name) { return ffi::String(FileIn(folder, name)); };
  ffi::reflection::GlobalDef()
      .def("tvm.rpc.server.workpath", path)
      .def("tvm.rpc.server.load_module",
           [path](const ffi::String& name) { return ffi::Module::LoadFromFile(path(name)); })
      .def("hetcomp.rpc.setenv", [](const ffi::String& name, const ffi::String& value) {
        if (setenv(name.c_str(), value.c_str(), 1) != 0) throw std::runtime_error("setenv failed");
      });
}

// The process's side. Returns its exit status.
int Serve(int client, const std::filesystem::path& folder) {
  try {
    Register(folder);
    const auto loop = ffi::Function::GetGlobal("rpc.ServerLoop");
    if (!loop.has_value()) throw std::runtime_error("libtvm_runtime has no rpc.ServerLoop");
    (*loop)(client);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "session: %s\n", error.what());
    return 1;
  }
}

}  // namespace

Session::Session(Socket client, std::filesystem::path folder, double limit_s)
    : client_(std::move(client)),
      peer_(client_.peer()),
      end_(begin_ + std::chrono::milliseconds(static_cast<int64_t>(limit_s * 1e3))) {
  const pid_t server = getpid();
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
  if (pid_ > 0) {
    setpgid(pid_, pid_);
    return;
  }
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != server) _exit(1);  // it died before it could take us along
  for (int number : {SIGTERM, SIGINT, SIGCHLD}) signal(number, SIG_DFL);
  if (chdir(folder.c_str()) != 0) _exit(1);
  _exit(Serve(client_.fd(), folder));  // no destructors: drivers may hang at exit
}

Session::~Session() {
  kill(-pid_, SIGKILL);  // also what it has left behind
  waitpid(pid_, nullptr, 0);
}

bool Session::Ended(std::string* how) {
  int status = 0;
  const pid_t ended = waitpid(pid_, &status, WNOHANG);
  if (ended == pid_) {
    *how = WIFSIGNALED(status) ? std::string("ended by ") + strsignal(WTERMSIG(status))
                               : "ended with status " + std::to_string(WEXITSTATUS(status));
    return true;
  }
  *how = "ended: its time is up";
  return WaitMs() == 0;
}

int Session::WaitMs() const {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - Clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

double Session::seconds() const {
  return std::chrono::duration<double>(Clock::now() - begin_).count();
}

}  // namespace hetcomp::rpc
