#include "arguments.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace hetcomp::program {

const char kUsage[] =
    "usage: PROGRAM [--input F.npz] [--input NAME=F]... [--output FOLDER] [--bench N]\n"
    "               [--plan NAME] [--options JSON] [--list] [--help]\n"
    "Runs the model that this program is.\n"
    "  --input F.npz     inputs by name, as numpy.savez writes them\n"
    "  --input NAME=F    one input: F.npy, or else a file of its bytes\n"
    "  --output FOLDER   write each output to FOLDER/NAME.npy\n"
    "  --bench N         time N inferences after the first; inputs that are not given are zero\n"
    "  --plan NAME       a plan of this model instead of the default\n"
    "  --options JSON    options of the runtime, such as {\"threads\": 4}\n"
    "  --list            inputs and outputs, and nothing else\n";

namespace {

constexpr long kMostRuns = 1'000'000'000;

int Count(const std::string& text) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < 1 || value > kMostRuns) {
    throw std::invalid_argument("--bench wants a number from 1, got '" + text + "'");
  }
  return static_cast<int>(value);
}

void AddInput(const std::string& text, Arguments* found) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) {
    if (!found->archive.empty()) throw std::invalid_argument("--input F.npz: one file only");
    found->archive = text;
    return;
  }
  const std::string name = text.substr(0, equals);
  if (!found->inputs.emplace(name, text.substr(equals + 1)).second) {
    throw std::invalid_argument("input '" + name + "' is given twice");
  }
}

// A name for JSON, in which nothing needs an escape.
std::string PlanOption(const std::string& name) {
  if (name.find_first_of("\"\\\n\t") != std::string::npos) {
    throw std::invalid_argument("'" + name + "' is no plan's name");
  }
  return "{\"plan\": \"" + name + "\"}";
}

}  // namespace

Arguments ParseArguments(int argc, const char* const* argv) {
  Arguments found;
  bool has_options = false;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--help" || name == "-h") {
      found.help = true;
      return found;
    }
    if (name == "--list") {
      found.list = true;
      continue;
    }
    const bool known = name == "--input" || name == "--output" || name == "--bench" ||
                       name == "--plan" || name == "--options";
    if (!known) throw std::invalid_argument("unknown argument '" + name + "'");
    if (++i == argc) throw std::invalid_argument(name + " wants a value");
    const std::string value = argv[i];
    if (name == "--input") AddInput(value, &found);
    if (name == "--output") found.output = value;
    if (name == "--bench") found.bench = Count(value);
    if (name != "--plan" && name != "--options") continue;
    if (has_options) throw std::invalid_argument("--plan and --options: one of them, once");
    has_options = true;
    found.options = name == "--plan" ? PlanOption(value) : value;
  }
  return found;
}

}  // namespace hetcomp::program
