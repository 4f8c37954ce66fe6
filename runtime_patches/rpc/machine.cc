#include "machine.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "base/json_writer.h"
#include "cpu/arm_features.h"

namespace hetcomp::rpc {
namespace {

constexpr int kMostCaches = 16;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string Trimmed(const std::string& text) {
  const char* blank = " \t\n";
  const size_t begin = text.find_first_not_of(blank);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Fields of /proc/cpuinfo with their values, each value once.
std::map<std::string, std::vector<std::string>> CpuFields() {
  std::map<std::string, std::vector<std::string>> fields;
  std::istringstream text(ReadFile("/proc/cpuinfo"));
  for (std::string line; std::getline(text, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    auto& values = fields[Lower(Trimmed(line.substr(0, colon)))];
    const std::string value = Trimmed(line.substr(colon + 1));
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
  }
  return fields;
}

#if defined(__aarch64__)
// Asked for here rather than read in /proc/cpuinfo, which under an emulator is the host's.
std::vector<std::string> Features() {
  std::vector<std::string> found;
  for (const ArmFeature& feature : kArmFeatures) {
    if (Has(feature)) found.emplace_back(feature.name);
  }
  return found;
}
#else
std::vector<std::string> Features() {
  std::vector<std::string> found;
  auto fields = CpuFields();
  const auto& lines = fields["flags"];
  if (lines.empty()) return found;
  std::istringstream words(lines.front());
  for (std::string word; words >> word;) found.push_back(word);
  return found;
}
#endif

std::string Name(const std::string& machine,
                 std::map<std::string, std::vector<std::string>>& fields) {
  const std::string board = Trimmed(ReadFile("/proc/device-tree/model").c_str());
#if defined(__aarch64__)
  const char* keys[] = {"hardware"};
#else
  const char* keys[] = {"model name", "hardware"};
#endif
  for (const char* key : keys) {
    if (!fields[key].empty()) return fields[key].front();
  }
  return board.empty() ? machine : board;
}

// Kinds of ARM cores, for instance 0x41:0xd0b.
std::vector<std::string> Parts() {
  std::set<std::string> parts;
  std::string implementer;
  std::istringstream text(ReadFile("/proc/cpuinfo"));
  for (std::string line; std::getline(text, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = Trimmed(line.substr(0, colon));
    const std::string value = Trimmed(line.substr(colon + 1));
    if (key == "CPU implementer") implementer = value;
    if (key == "CPU part") parts.insert(implementer + ":" + value);
  }
  return {parts.begin(), parts.end()};
}

long long SizeBytes(const std::string& text) {
  const long long number = std::atoll(text.c_str());
  const char unit = text.empty() ? ' ' : text.back();
  return unit == 'K' ? number << 10 : unit == 'M' ? number << 20 : number;
}

std::vector<std::string> Caches() {
  std::vector<std::string> found;
  for (int index = 0; index < kMostCaches; ++index) {
    const std::string folder =
        "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    const std::string level = Trimmed(ReadFile(folder + "level"));
    if (level.empty()) break;
    found.push_back(JsonObject()
                        .Count("level", std::atoll(level.c_str()))
                        .Text("kind", Lower(Trimmed(ReadFile(folder + "type"))))
                        .Count("size_bytes", SizeBytes(Trimmed(ReadFile(folder + "size"))))
                        .Done());
  }
  return found;
}

std::vector<std::string> UsableCores() {
  std::vector<std::string> found;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return found;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &cores)) found.push_back(std::to_string(core));
  }
  return found;
}

std::string Quoted(const std::vector<std::string>& texts) {
  std::vector<std::string> items;
  for (const std::string& text : texts) items.push_back(JsonString(text));
  return JsonList(items);
}

}  // namespace

std::string MachineJson() {
  utsname system{};
  uname(&system);
  auto fields = CpuFields();
  return JsonObject()
      .Text("name", Name(system.machine, fields))
      .Text("machine", system.machine)
      .Text("system", std::string(system.sysname) + " " + system.release)
      .Count("cores", sysconf(_SC_NPROCESSORS_CONF))
      .Raw("usable_cores", JsonList(UsableCores()))
      .Raw("features", Quoted(Features()))
      .Raw("parts", Quoted(Parts()))
      .Raw("caches", JsonList(Caches()))
      .Done();
}

}  // namespace hetcomp::rpc
