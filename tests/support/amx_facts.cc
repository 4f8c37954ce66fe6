// What driver `amx` says of a machine that is made up: x86 tiles bytes saved errno.
#include <cstdio>
#include <cstdlib>

#include "npu/npu_amx_probe.h"

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  hetcomp::AmxFacts facts;
  facts.x86 = std::atoi(argv[1]) != 0;
  facts.tiles = std::atoi(argv[2]) != 0;
  facts.bytes = std::atoi(argv[3]) != 0;
  facts.saved = std::atoi(argv[4]) != 0;
  facts.permission_errno = std::atoi(argv[5]);
  std::printf("%s", hetcomp::WhyNoAmx(facts).c_str());
  return 0;
}
