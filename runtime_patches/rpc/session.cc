#include "session.h"

#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
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
  std::filesystem::current_path(folder);
  Register(folder);
  const auto loop = ffi::Function::GetGlobal("rpc.ServerLoop");
  if (!loop.has_value()) throw std::runtime_error("libtvm_runtime has no rpc.ServerLoop");
  (*loop)(client);
  return 0;
}

}  // namespace

Session::Session(Socket client, const std::filesystem::path& folder, double limit_s,
                 const std::vector<int>& of_server)
    : client_(std::move(client)),
      peer_(client_.peer()),
      end_(begin_ + std::chrono::milliseconds(static_cast<int64_t>(limit_s * 1e3))),
      process_([&] {
        for (int fd : of_server) close(fd);
        return Serve(client_.fd(), folder);
      }) {}

Session::~Session() { End(); }

std::string Session::Ended() const {
  if (const auto ending = process_.Ended()) {
    return ending->killed ? std::string("ended by ") + strsignal(ending->number)
                          : "ended with status " + std::to_string(ending->number);
  }
  return LeftMs(end_) == 0 ? "ended: its time is up" : "";
}

bool Session::End() {
  const bool ended = process_.End();
  client_.HangUp();  // where the process is stuck, it keeps the connection open
  return ended;
}

double Session::seconds() const {
  return std::chrono::duration<double>(Clock::now() - begin_).count();
}

}  // namespace hetcomp::rpc
