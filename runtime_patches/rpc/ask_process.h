// Questions to code that may crash or hang: drivers, the resolver of names.
#ifndef HETCOMP_RPC_ASK_PROCESS_H_
#define HETCOMP_RPC_ASK_PROCESS_H_

#include <functional>
#include <string>

#include "deadline.h"

namespace hetcomp::rpc {

// What `question`, called in a process of its own, returns: a text without NUL. Throws
// std::runtime_error with what it throws, or where it gives no answer before `end`.
std::string AskProcess(const std::function<std::string()>& question, Deadline end);

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_ASK_PROCESS_H_
