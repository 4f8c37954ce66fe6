// What this machine is.
#ifndef HETCOMP_RPC_MACHINE_H_
#define HETCOMP_RPC_MACHINE_H_

#include <string>

namespace hetcomp::rpc {

// JSON: name, machine, system, cores, usable_cores, features, parts (of ARM cores, as
// implementer:part), caches of core 0. What cannot be read is empty.
std::string MachineJson();

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_MACHINE_H_
