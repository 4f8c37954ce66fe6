#include "tracker.h"

#include <algorithm>
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

constexpr int kAnswerMs = 3000;
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

int Tracker::WaitMs() const {
  if (host_.empty() || !free_) return -1;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(due_ - Clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count() + 1));
}

void Tracker::Keep() {
  if (WaitMs() < 0 || Clock::now() < due_) return;
  try {
    if (!socket_.open()) Introduce();
    if (!announced_ || !Known()) Announce();
    due_ = Clock::now() + kPeriod;
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "tracker %s:%d: %s; trying again\n", host_.c_str(), port_, error.what());
    socket_ = Socket();
    announced_ = false;
    due_ = Clock::now() + kRetry;
  }
}

void Tracker::Introduce() {
  Socket made = Socket::Connect(host_, port_, kAnswerMs);
  made.WriteInt(kTrackerMagic, kAnswerMs);
  if (made.ReadInt(kAnswerMs) != kTrackerMagic) throw std::runtime_error("this is no tracker");
  socket_ = std::move(made);
  const std::string address = JsonList({address_, std::to_string(own_port_)});
  const std::string info = JsonObject().Text("key", "server:" + key_).Raw("addr", address).Done();
  if (Ask(Request(kUpdateInfo, {info})) != kSuccess) throw std::runtime_error("refused");
}

void Tracker::Announce() {
  match_key_ = key_ + ":" + RandomDigits();
  const std::string where = JsonList({std::to_string(own_port_), JsonString(match_key_)});
  if (Ask(Request(kPut, {JsonString(key_), where, address_})) != kSuccess) {
    throw std::runtime_error("refused");
  }
  announced_ = true;
  unknown_ = 0;
}

bool Tracker::Known() {
  const std::string pending = Ask(Request(kPendingKeys, {}));
  unknown_ = pending.find(JsonString(match_key_)) == std::string::npos ? unknown_ + 1 : 0;
  return unknown_ < kPatience;
}

std::string Tracker::Ask(const std::string& request) {
  socket_.WriteText(request, kAnswerMs);
  return socket_.ReadText(kAnswerMs);
}

}  // namespace hetcomp::rpc
