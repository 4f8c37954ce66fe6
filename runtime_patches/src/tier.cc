#include "tier.h"

#include "error.h"

namespace hetcomp {
namespace {

const std::string& WhyNot(Tier tier, const TierProbe& probe) {
  static const std::string works;
  switch (tier) {
    case Tier::kSvmAhead:
      return probe.no_ahead;
    case Tier::kSvm:
      return probe.no_flags;
    case Tier::kEvent:
    case Tier::kFinish:
    case Tier::kCpu:
      return works;
  }
  return works;
}

}  // namespace

const char* TierName(Tier tier) {
  switch (tier) {
    case Tier::kSvmAhead:
      return "svm-ahead";
    case Tier::kSvm:
      return "svm";
    case Tier::kEvent:
      return "event";
    case Tier::kFinish:
      return "finish";
    case Tier::kCpu:
      return "cpu";
  }
  return "?";
}

const char* MemoryName(MemoryKind memory) {
  switch (memory) {
    case MemoryKind::kFine:
      return "fine";
  }
  return "?";
}

TierChoice ChooseTier(std::optional<Tier> wanted, const TierProbe& probe) {
  TierChoice choice;
  if (wanted.has_value()) {
    const std::string& why = WhyNot(*wanted, probe);
    if (!why.empty()) {
      throw Error(ErrorKind::kDevice, std::string("tier ") + TierName(*wanted) + ": " + why);
    }
    choice.tier = *wanted;
    return choice;
  }
  for (Tier tier : kTiers) {
    const std::string& why = WhyNot(tier, probe);
    choice.tier = tier;
    if (why.empty()) break;
    choice.refused.push_back({tier, why});
  }
  return choice;
}

}  // namespace hetcomp
