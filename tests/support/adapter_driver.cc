// Drives the runtime's adapter from a test that plays the machine.
//
// Reads from standard input: number of tables, home; for each table its name, number of CPU steps,
// of GPU steps, and for each step what it waits for and its predicted time. Then, for ever: writes
// the name of the table for the next inference, reads what that took and what of it the CPU. At the
// end of the input it writes the changes as lines of tabs.
#include <iostream>
#include <string>
#include <vector>

#include "session/adapter.h"

namespace {

std::vector<hetcomp::Step> ReadSteps(size_t count) {
  std::vector<hetcomp::Step> steps(count);
  for (hetcomp::Step& step : steps) std::cin >> step.wait >> step.predicted_us;
  return steps;
}

hetcomp::Table ReadTable() {
  hetcomp::Table table;
  size_t cpu = 0;
  size_t gpu = 0;
  std::cin >> table.name >> cpu >> gpu;
  table.cpu = ReadSteps(cpu);
  table.gpu = ReadSteps(gpu);
  return table;
}

}  // namespace

int main() {
  size_t count = 0;
  size_t home = 0;
  std::cin >> count >> home;
  std::vector<hetcomp::Table> tables;
  for (size_t i = 0; i < count; ++i) tables.push_back(ReadTable());
  std::vector<const hetcomp::Table*> pointers;
  for (const hetcomp::Table& table : tables) pointers.push_back(&table);
  hetcomp::Adapter adapter(pointers, home);
  hetcomp::Observation seen;
  for (;;) {
    std::cout << tables[adapter.next()].name << std::endl;
    if (!(std::cin >> seen.total_us >> seen.cpu_us)) break;
    adapter.Add(seen);
  }
  for (const hetcomp::Switch& change : adapter.switches()) {
    std::cout << change.run << '\t' << change.from << '\t' << change.to << '\t' << change.reason
              << '\n';
  }
  return 0;
}
