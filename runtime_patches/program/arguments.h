// The command line of a program that is one compiled model.
#ifndef HETCOMP_PROGRAM_ARGUMENTS_H_
#define HETCOMP_PROGRAM_ARGUMENTS_H_

#include <map>
#include <string>

namespace hetcomp::program {

extern const char kUsage[];

struct Arguments {
  std::map<std::string, std::string> inputs;  // files by the input's name
  std::string archive;                        // .npz with further inputs; empty: none
  std::string output;                         // folder; empty: outputs are not kept
  std::string options = "{}";                 // the runtime's, as JSON
  int bench = 0;                              // inferences that are timed; 0: one, not timed
  bool list = false;
  bool help = false;
};

// Throws std::invalid_argument with what is wrong.
Arguments ParseArguments(int argc, const char* const* argv);

}  // namespace hetcomp::program

#endif  // HETCOMP_PROGRAM_ARGUMENTS_H_
