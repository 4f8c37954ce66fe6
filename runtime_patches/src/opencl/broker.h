// Finds what this process's models share, see broker_protocol.h.
#ifndef HETCOMP_BROKER_H_
#define HETCOMP_BROKER_H_

#include "opencl/broker_protocol.h"

namespace hetcomp {

// Made by the first model.so with this protocol, found by all others. Lives as long as the process.
const HetcompBroker& ProcessBroker();

}  // namespace hetcomp

#endif  // HETCOMP_BROKER_H_
