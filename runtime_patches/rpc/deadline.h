// Waits that end: what is read or written is awaited until a moment, not for a time each.
#ifndef HETCOMP_RPC_DEADLINE_H_
#define HETCOMP_RPC_DEADLINE_H_

#include <chrono>
#include <cstddef>

namespace hetcomp::rpc {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

Deadline In(int ms);
// Milliseconds until then; 0 once it has passed.
int LeftMs(Deadline end);

// Waits until `events` of poll() can be done without blocking. Throws std::runtime_error at `end`.
void Await(int fd, short events, Deadline end);

// Reads what there is, at most `size` bytes, once there is something; 0 where the writers have
// closed. Throws std::runtime_error at `end`, or if reading fails.
size_t ReadWithin(int fd, void* data, size_t size, Deadline end);

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_DEADLINE_H_
