#include "npu/npu_driver.h"

#include "npu/npu_htp.h"

namespace hetcomp {
namespace {

const std::vector<NpuDriver*>& Drivers() {
  static const std::vector<NpuDriver*> drivers = {AmxNpu(), HtpNpu(), ReferenceNpu()};
  return drivers;
}

}  // namespace

NpuDriver* FindNpuDriver(const std::string& name) {
  for (NpuDriver* driver : Drivers()) {
    if (name == driver->name()) return driver;
  }
  return nullptr;
}

std::vector<std::string> NpuDriverNames() {
  std::vector<std::string> names;
  for (NpuDriver* driver : Drivers()) names.emplace_back(driver->name());
  return names;
}

}  // namespace hetcomp
