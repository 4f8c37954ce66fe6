// Names of machines.
#ifndef HETCOMP_RPC_RESOLVE_H_
#define HETCOMP_RPC_RESOLVE_H_

#include <sys/socket.h>

#include <string>
#include <vector>

#include "deadline.h"

namespace hetcomp::rpc {

struct Address {
  sockaddr_storage value{};
  socklen_t size = 0;
};

// Where `host`, a name or an address, is. Throws
// std::runtime_error if there is none or the resolver, which knows no time limit of ours, does not
// answer before `end`.
std::vector<Address> Resolve(const std::string& host, int port, Deadline end);

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_RESOLVE_H_
