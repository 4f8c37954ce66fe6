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
#include "machine.h"
#include "opencl_list.h"

namespace hetcomp::rpc {
namespace {

// TVM's RPC protocol.
constexpr int32_t kMagic = 0xff271;
constexpr int32_t kTaken = kMagic + 1;
constexpr int32_t kOtherKey = kMagic + 2;
constexpr const char* kClient = "client:";
constexpr const char* kLimit = "-timeout=";

// Ours: see hetcomp/remote/wire.py.
constexpr const char* kStatus = "status";
constexpr int kProtocol = 1;

constexpr int kHelloMs = 5000;
constexpr int kOpenClMs = 20000;

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

// The sooner of two times to wait; -1 is never.
int Sooner(int one_ms, int other_ms) {
  if (one_ms < 0 || other_ms < 0) return std::max(one_ms, other_ms);
  return std::min(one_ms, other_ms);
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
      listener_(Socket::Listen(options.host, options.port)),
      tracker_(options.tracker_host, options.tracker_port, options.key, options.address, port()) {}

void Server::Run() {
  const int wake = WakeOnSignals();
  while (!stopping) {
    if (!session_) tracker_.Keep();
    pollfd items[] = {{listener_.fd(), POLLIN, 0}, {wake, POLLIN, 0}};
    poll(items, 2, Sooner(session_ ? session_->WaitMs() : -1, tracker_.WaitMs()));
    char signals[64];
    while (read(wake, signals, sizeof(signals)) > 0) {
    }
    Look();
    if (!(items[0].revents & POLLIN)) continue;
    try {
      Welcome(listener_.Accept());
    } catch (const std::runtime_error& error) {
      std::fprintf(stderr, "a client: %s\n", error.what());
    }
  }
  session_.reset();
}

void Server::Welcome(Socket client) {
  if (client.ReadInt(kHelloMs) != kMagic) return;
  const std::string key = client.ReadText(kHelloMs);
  const std::string name = key.substr(0, key.find(' '));
  if (name == kStatus) {
    client.WriteInt(kMagic, kHelloMs);
    client.WriteText(StatusJson(), kHelloMs);
  } else if (name != kClient + tracker_.match_key()) {
    client.WriteInt(kOtherKey, kHelloMs);
  } else if (session_) {
    client.WriteInt(kTaken, kHelloMs);
  } else {
    Open(std::move(client), key);
  }
}

void Server::Open(Socket client, const std::string& key) {
  client.WriteInt(kMagic, kHelloMs);
  client.WriteText("server:" + options_.key, kHelloMs);
  tracker_.Taken();
  std::fprintf(stderr, "session of %s\n", client.peer().c_str());
  session_ =
      std::make_unique<Session>(std::move(client), folder_.path(), LimitOf(key, options_.limit_s));
}

// Ends the session that has ended.
void Server::Look() {
  std::string how;
  if (!session_ || !session_->Ended(&how)) return;
  std::fprintf(stderr, "session of %s %s after %.1f s\n", session_->peer().c_str(), how.c_str(),
               session_->seconds());
  session_.reset();
  last_ = how;
  folder_.Clear();
  tracker_.Free();
}

std::string Server::StatusJson() const {
  return JsonObject()
      .Text("server", "hetcomp_rpc")
      .Count("protocol", kProtocol)
      .Text("serves", session_ ? session_->peer() : "")
      .Text("last", last_)
      .Number("serves_s", session_ ? session_->seconds() : 0.0)
      .Raw("device", device_json_)
      .Done();
}

}  // namespace hetcomp::rpc
