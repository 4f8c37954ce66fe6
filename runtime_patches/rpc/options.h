// The server's command line.
#ifndef HETCOMP_RPC_OPTIONS_H_
#define HETCOMP_RPC_OPTIONS_H_

#include <string>

namespace hetcomp::rpc {

struct Options {
  std::string host = "127.0.0.1";
  int port = 9090;
  std::string tracker_host;  // empty: none
  int tracker_port = 0;
  std::string key;      // that the tracker hands this device out by
  std::string address;  // that clients of the tracker connect to, if not the one that it sees
  std::string folder;   // for clients' files
  double limit_s = 3600.0;
};

// What --help prints.
extern const char* const kUsage;

// Throws std::invalid_argument where something is wrong.
Options ParseOptions(int argc, const char* const* argv);

}  // namespace hetcomp::rpc

#endif  // HETCOMP_RPC_OPTIONS_H_
