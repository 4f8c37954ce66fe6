// The OpenCL devices of this machine, as hetcomp/devices/opencl_probe.py lists them.
#ifndef HETCOMP_RPC_OPENCL_LIST_H_
#define HETCOMP_RPC_OPENCL_LIST_H_

#include <string>

namespace hetcomp::rpc {

// JSON: library (whether there is one), error, devices. Asked in a process of its own, as a driver
// may hang or crash, and within `timeout_ms`. To be called before there are threads.
std::string OpenClJson(int timeout_ms);

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_OPENCL_LIST_H_
