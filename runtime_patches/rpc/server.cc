#include "server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "base/json_writer.h"
#include "child_process.h"
#include "machine.h"
#include "opencl_list.h"

namespace hetcomp::rpc {
namespace {

// TVM's RPC protocol.
constexpr int32_t kTaken = kRpcMagic + 1;
constexpr int32_t kOtherKey = kRpcMagic + 2;
constexpr const char* kClient = "client:";
constexpr const char* kLimit = "-timeout=";

// Ours: see hetcomp/remote/wire.py.
constexpr const char* kStatus = "status";
constexpr int kProtocol = 1;

constexpr int kListenMs = 10'000;
constexpr int kOpenClMs = 20'000;
constexpr int kReplyMs = 1000;  // what a client has not taken by then overflows its buffer
constexpr size_t kMostHellos = 16;

int wake_write = -1;
std::atomic<bool> stopping{false};

void OnSignal(int number) {
  if (number != SIGCHLD) stopping = true;
  const char byte = 0;
  // A full pipe wakes as well.
  [[maybe_unused]] const ssize_t written = write(wake_write, &byte, 1);
}

// The end of a pipe that is readable after a signal.
int WakeOnSignals() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("pipe failed");
  wake_write = ends[1];
  struct sigaction action {};
  action.sa_handler = OnSignal;
  for (int number : {SIGTERM, SIGINT, SIGCHLD}) sigaction(number, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return ends[0];
}

// Seconds that a client's key asks for, within `most_s`.
double LimitOf(const std::string& key, double most_s) {
  std::istringstream words(key);
  const std::string prefix = kLimit;
  for (std::string word; words >> word;) {
    if (word.compare(0, prefix.size(), prefix) != 0) continue;
    const double asked_s = std::atof(word.c_str() + prefix.size());
    if (asked_s > 0.0) return std::min(asked_s, most_s);
  }
  return most_s;
}

}  // namespace

Server::Server(const Options& options)
    : options_(options),
      device_json_(
          JsonObject().Raw("cpu", MachineJson()).Raw("opencl", OpenClJson(kOpenClMs)).Done()),
      folder_(options.folder),
      listener_(Socket::Listen(options.host, options.port, In(kListenMs))),
      tracker_(options.tracker_host, options.tracker_port, options.key, options.address, port()) {}

void Server::Run() {
  const int wake = WakeOnSignals();
  while (!stopping) {
    if (!session_) tracker_.Heartbeat();
    Await(wake);
    ReapSession();
    AcceptClient();
    ReadHellos();
  }
  session_.reset();
}

// Waits until there is something to do.
void Server::Await(int wake) {
  Deadline end = std::min(tracker_.due(), session_ ? session_->end() : Deadline::max());
  std::vector<pollfd> items = {{listener_.fd(), POLLIN, 0}, {wake, POLLIN, 0}};
  for (const Hello& hello : hellos_) {
    items.push_back({hello.client().fd(), POLLIN, 0});
    end = std::min(end, hello.end());
  }
  poll(items.data(), items.size(), end == Deadline::max() ? -1 : LeftMs(end));
  char signals[64];
  while (read(wake, signals, sizeof(signals)) > 0) {
  }
}

void Server::AcceptClient() {
  try {
    Socket client = listener_.Accept();
    if (!client.open()) return;
    // Who connects and says nothing makes room for who comes after.
    if (hellos_.size() == kMostHellos) hellos_.erase(hellos_.begin());
    hellos_.emplace_back(std::move(client));
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "a client: %s\n", error.what());
  }
}

void Server::ReadHellos() {
  for (auto hello = hellos_.begin(); hello != hellos_.end();) {
    bool done = true;
    try {
      done = hello->Read();
      if (done) HandleClient(hello->Release(), hello->key());
    } catch (const std::runtime_error& error) {
      std::fprintf(stderr, "a client: %s\n", error.what());
    }
    hello = done ? hellos_.erase(hello) : hello + 1;
  }
}

void Server::HandleClient(Socket client, const std::string& key) {
  const Deadline end = In(kReplyMs);
  const std::string name = key.substr(0, key.find(' '));
  if (name == kStatus) {
    client.WriteInt(kRpcMagic, end);
    client.WriteText(StatusJson(), end);
  } else if (name != kClient + tracker_.match_key()) {
    client.WriteInt(kOtherKey, end);
  } else if (session_) {
    client.WriteInt(kTaken, end);
  } else {
    OpenSession(std::move(client), key);
  }
}

void Server::OpenSession(Socket client, const std::string& key) {
  const Deadline end = In(kReplyMs);
  const double limit_s = LimitOf(key, options_.limit_s);
  std::fprintf(stderr, "session of %s\n", client.peer().c_str());
  try {
    folder_.Ensure();
    client.WriteInt(kRpcMagic, end);
    client.WriteText("server:" + options_.key, end);
    session_ = std::make_unique<Session>(std::move(client), folder_.path(), limit_s, Descriptors());
  } catch (const std::runtime_error&) {
    tracker_.Free();  // the key that it was handed out by is spent
    throw;
  }
  tracker_.Taken();
}

// Ends the session that has ended.
void Server::ReapSession() {
  std::string how = session_ ? session_->Ended() : "";
  if (how.empty()) return;
  tracker_.Free();
  if (!session_->End()) how += "; its process is stuck in a driver and cannot be ended";
  last_ = std::move(how);
  std::fprintf(stderr, "session of %s %s after %.1f s\n", session_->peer().c_str(), last_.c_str(),
               session_->seconds());
  session_.reset();
  folder_.Clear();
}

// What is open here and of no use to a session.
std::vector<int> Server::Descriptors() const {
  std::vector<int> found = {listener_.fd(), tracker_.fd(), folder_.lock_fd()};
  for (const Hello& hello : hellos_) found.push_back(hello.client().fd());
  return found;
}

std::string Server::StatusJson() const {
  return JsonObject()
      .Text("server", "hetcomp_rpc")
      .Count("protocol", kProtocol)
      .Text("serves", session_ ? session_->peer() : "")
      .Text("last", last_)
      .Number("serves_s", session_ ? session_->seconds() : 0.0)
      .Count("stuck", StuckProcesses())
      .Raw("device", device_json_)
      .Done();
}

}  // namespace hetcomp::rpc
