// hetcomp_rpc: lets hetcomp measure on this machine.
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "options.h"
#include "server.h"

int main(int argc, char** argv) {
  using hetcomp::rpc::kUsage;
  if (argc == 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0)) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  try {
    const auto options = hetcomp::rpc::ParseOptions(argc, argv);
    hetcomp::rpc::Server server(options);
    std::printf("hetcomp_rpc listens at %s:%d\n", options.host.c_str(), server.port());
    std::fflush(stdout);
    server.Run();
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "error: %s\n%s", error.what(), kUsage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
