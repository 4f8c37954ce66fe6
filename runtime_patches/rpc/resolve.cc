#include "resolve.h"

#include <netdb.h>

#include <cstring>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "ask_process.h"

namespace hetcomp::rpc {
namespace {

using Found = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Found Ask(const std::string& host, int port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status != 0) throw std::runtime_error(host + ": " + gai_strerror(status));
  return {found, freeaddrinfo};
}

// Addresses of a name, a line each.
std::string Lines(const std::string& host) {
  const Found found = Ask(host, 0, 0);
  std::string lines;
  for (const addrinfo* item = found.get(); item != nullptr; item = item->ai_next) {
    char text[NI_MAXHOST];
    const int status = getnameinfo(item->ai_addr, item->ai_addrlen, text, sizeof(text), nullptr, 0,
                                   NI_NUMERICHOST);
    if (status == 0) lines += std::string(text) + "\n";
  }
  return lines;
}

bool IsNumeric(const std::string& host) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return false;
  freeaddrinfo(found);
  return true;
}

Address FromNumeric(const std::string& text, int port) {
  const Found found = Ask(text, port, AI_NUMERICHOST);
  Address address;
  address.size = found->ai_addrlen;
  std::memcpy(&address.value, found->ai_addr, found->ai_addrlen);
  return address;
}

}  // namespace

std::vector<Address> Resolve(const std::string& host, int port, Deadline end) {
  if (IsNumeric(host)) return {FromNumeric(host, port)};
  std::istringstream lines(AskProcess([&] { return Lines(host); }, end));
  std::vector<Address> found;
  for (std::string line; std::getline(lines, line);) found.push_back(FromNumeric(line, port));
  if (found.empty()) throw std::runtime_error(host + ": no address");
  return found;
}

}  // namespace hetcomp::rpc
