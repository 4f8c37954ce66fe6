#include "options.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace hetcomp::rpc {
namespace {

constexpr int kMostPort = 65535;

double Number(const std::string& name, const std::string& text, double least, double most) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= least && value <= most)) {
    throw std::invalid_argument(name + ": '" + text + "' is no number from " +
                                std::to_string(static_cast<int>(least)) + " to " +
                                std::to_string(static_cast<int>(most)));
  }
  return value;
}

int Port(const std::string& name, const std::string& text, int least) {
  return static_cast<int>(Number(name, text, least, kMostPort));
}

// Of an IPv6 address, [::1], which has colons of its own.
std::string WithoutBrackets(const std::string& host) {
  const bool has = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return has ? host.substr(1, host.size() - 2) : host;
}

std::string DefaultFolder() {
  std::error_code error;
  const auto folder = std::filesystem::temp_directory_path(error);
  if (error) {
    throw std::invalid_argument("--folder is missing, and TMPDIR: " + error.message());
  }
  return folder;
}

void SetTracker(const std::string& text, Options* options) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    throw std::invalid_argument("--tracker: '" + text + "' is not HOST:PORT");
  }
  options->tracker_host = WithoutBrackets(text.substr(0, colon));
  options->tracker_port = Port("--tracker", text.substr(colon + 1), 1);
}

}  // namespace

const char* const kUsage =
    "usage: hetcomp_rpc [--host H] [--port P] [--tracker HOST:PORT --key KEY [--address A]]\n"
    "                   [--folder DIR] [--limit SECONDS]\n"
    "\n"
    "Lets hetcomp measure on this machine: hetcomp devices, compile, profile, tune, bench and run\n"
    "take --rpc HOST:PORT.\n"
    "Whoever reaches the port can run code here: leave it at 127.0.0.1 and come by\n"
    "`ssh -L 9090:127.0.0.1:9090 BOARD`, or use it in a network that you trust.\n"
    "\n"
    "  --host H      address to listen at (127.0.0.1; 0.0.0.0: all)\n"
    "  --port P      port (9090; 0: any that is free, which is printed)\n"
    "  --tracker T   tell TVM's tracker that this device is free\n"
    "  --key KEY     what the tracker hands it out by\n"
    "  --address A   where clients of the tracker find this device, if not where the tracker does\n"
    "  --folder DIR  for clients' files, which are removed after each session (TMPDIR)\n"
    "  --limit S     longest session, in seconds (3600)\n";

Options ParseOptions(int argc, const char* const* argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) throw std::invalid_argument(name + ": unknown, or its value is missing");
    const std::string value = argv[i + 1];
    if (name == "--host") {
      options.host = value;
    } else if (name == "--port") {
      options.port = Port(name, value, 0);
    } else if (name == "--tracker") {
      SetTracker(value, &options);
    } else if (name == "--key") {
      options.key = value;
    } else if (name == "--address") {
      options.address = value;
    } else if (name == "--folder") {
      options.folder = value;
    } else if (name == "--limit") {
      options.limit_s = Number(name, value, 1.0, 1e6);
    } else {
      throw std::invalid_argument(name + ": unknown");
    }
  }
  if (options.tracker_host.empty() != options.key.empty()) {
    throw std::invalid_argument("--tracker and --key belong together");
  }
  if (options.folder.empty()) options.folder = DefaultFolder();  // Android has none
  return options;
}

}  // namespace hetcomp::rpc
