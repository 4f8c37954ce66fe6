#include "lanes/tier.h"

#include "base/error.h"

namespace hetcomp {
namespace {

std::string WhyNot(Tier tier, MemoryKind memory, const TierProbe& probe) {
  if (!UsesFlags(tier)) return "";
  if (!probe.no_fine.empty()) return probe.no_fine;
  if (memory != MemoryKind::kFine) return std::string("memory is ") + MemoryName(memory);
  return UsesGates(tier) ? probe.no_ahead : probe.no_flags;
}

[[noreturn]] void Refuse(const std::string& what, const std::string& why) {
  throw Error(ErrorKind::kDevice, what + ": " + why);
}

MemoryKind ChooseMemory(std::optional<MemoryKind> wanted, const TierProbe& probe) {
  for (MemoryKind memory : kMemoryKinds) {
    if (wanted.has_value() && memory != *wanted) continue;
    const std::string why = WhyNot(memory, probe);
    if (why.empty()) return memory;
    if (wanted.has_value()) Refuse(std::string("memory ") + MemoryName(memory), why);
  }
  return MemoryKind::kBuffer;
}

}  // namespace

std::string WhyNot(MemoryKind memory, const TierProbe& probe) {
  switch (memory) {
    case MemoryKind::kFine:
      return probe.no_fine;
    case MemoryKind::kCoarse:
      return probe.no_coarse;
    case MemoryKind::kBuffer:
      break;
  }
  return "";
}

const char* TierName(Tier tier) {
  switch (tier) {
    case Tier::kMailbox:
      return "mailbox";
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
    case MemoryKind::kCoarse:
      return "coarse";
    case MemoryKind::kBuffer:
      return "buffer";
  }
  return "?";
}

TierChoice ChooseTier(std::optional<Tier> wanted, std::optional<MemoryKind> memory,
                      const TierProbe& probe) {
  TierChoice choice;
  choice.memory = ChooseMemory(memory, probe);
  for (Tier tier : kTiers) {
    if (wanted.has_value() ? tier != *wanted : tier == Tier::kMailbox) continue;
    const std::string why = WhyNot(tier, choice.memory, probe);
    choice.tier = tier;
    if (why.empty()) break;
    if (wanted.has_value()) Refuse(std::string("tier ") + TierName(tier), why);
    choice.refused.push_back({tier, why});
  }
  return choice;
}

}  // namespace hetcomp
