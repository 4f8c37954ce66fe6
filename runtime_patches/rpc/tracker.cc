#include "tracker.h"

#include <cstdint>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <utility>

#include "base/json_writer.h"

namespace hetcomp::rpc {
namespace {

// TVM's tracker protocol: a magic number, then lists in JSON that begin with a code.
constexpr int32_t kTrackerMagic = 0x2f271;
constexpr int kPut = 3;
constexpr int kUpdateInfo = 5;
constexpr int kPendingKeys = 7;
constexpr const char* kSuccess = "0";

constexpr int kHeartbeatMs = 2000;  // in which the server does nothing else
constexpr auto kPeriod = std::chrono::seconds(2);
constexpr auto kRetry = std::chrono::seconds(5);
// Periods without the key among the tracker's, after which whoever got it will not come any more.
constexpr int kPatience = 4;

std::string RandomDigits() {
  std::random_device source;
  return std::to_string(std::uniform_int_distribution<uint64_t>()(source));
}

std::string Request(int code, const std::vector<std::string>& rest) {
  std::vector<std::string> items = {std::to_string(code)};
  items.insert(items.end(), rest.begin(), rest.end());
  return JsonList(items);
}

}  // namespace

Tracker::Tracker(std::string host, int port, std::string key, std::string address, int own_port)
    : host_(std::move(host)),
      port_(port),
      key_(std::move(key)),
      address_(address.empty() ? "null" : JsonString(address)),
      own_port_(own_port),
      match_key_(key_) {}

void Tracker::Free() {
  free_ = true;
  announced_ = false;
  due_ = Clock::now();
}

void Tracker::Taken() { free_ = false; }

Deadline Tracker::due() const { return host_.empty() || !free_ ? Deadline::max() : due_; }

void Tracker::Heartbeat() {
  if (Clock::now() < due()) return;
  const Deadline end = In(kHeartbeatMs);
  try {
    if (!socket_.open()) Introduce(end);
    if (!announced_ || !Known(end)) Announce(end);
    due_ = Clock::now() + kPeriod;
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "tracker %s:%d: %s; trying again\n", host_.c_str(), port_, error.what());
    socket_ = Socket();
    announced_ = false;
    due_ = Clock::now() + kRetry;
  }
}

void Tracker::Introduce(Deadline end) {
  Socket made = Socket::Connect(host_, port_, end);
  made.WriteInt(kTrackerMagic, end);
  if (made.ReadInt(end) != kTrackerMagic) throw std::runtime_error("this is no tracker");
  socket_ = std::move(made);
  const std::string address = JsonList({address_, std::to_string(own_port_)});
  const std::string info = JsonObject().Text("key", "server:" + key_).Raw("addr", address).Done();
  if (Ask(Request(kUpdateInfo, {info}), end) != kSuccess) throw std::runtime_error("refused");
}

void Tracker::Announce(Deadline end) {
  match_key_ = key_ + ":" + RandomDigits();
  const std::string where = JsonList({std::to_string(own_port_), JsonString(match_key_)});
  if (Ask(Request(kPut, {JsonString(key_), where, address_}), end) != kSuccess) {
    throw std::runtime_error("refused");
  }
  announced_ = true;
  unknown_ = 0;
}

bool Tracker::Known(Deadline end) {
  const std::string pending = Ask(Request(kPendingKeys, {}), end);
  unknown_ = pending.find(JsonString(match_key_)) == std::string::npos ? unknown_ + 1 : 0;
  return unknown_ < kPatience;
}

std::string Tracker::Ask(const std::string& request, Deadline end) {
  socket_.WriteText(request, end);
  return socket_.ReadText(end);
}

}  // namespace hetcomp::rpc
