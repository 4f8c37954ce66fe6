// The ways in which CPU and GPU wait for each other, and the choice among them.
#ifndef HETCOMP_TIER_H_
#define HETCOMP_TIER_H_

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace hetcomp {

// Fastest first.
enum class Tier {
  kMailbox,   // experimental: one kernel stays for many inferences; never chosen by itself
  kSvmAhead,  // everything enqueued ahead; kernels wait for the CPU's epoch
  kSvm,       // enqueued when its inputs are ready; the CPU polls the GPU's epoch
  kEvent,     // the same, but the CPU polls events
  kFinish,    // the same, but the CPU sleeps until the queue is empty
  kCpu,       // the GPU is not used
};

// Where the tensors are that both processors use.
enum class MemoryKind {
  kFine,    // fine-grained SVM with atomics: both use the same bytes at the same time
  kCoarse,  // each has its own; the CPU maps the device's coarse-grained SVM to copy what crosses
  kBuffer,  // each has its own; the queue copies what crosses
};

constexpr std::array<Tier, 6> kTiers = {Tier::kMailbox, Tier::kSvmAhead, Tier::kSvm,
                                        Tier::kEvent,   Tier::kFinish,   Tier::kCpu};
constexpr std::array<MemoryKind, 3> kMemoryKinds = {MemoryKind::kFine, MemoryKind::kCoarse,
                                                    MemoryKind::kBuffer};

const char* TierName(Tier tier);
const char* MemoryName(MemoryKind memory);

// Whether kernels wait at gates, and for the CPU's flags.
constexpr bool UsesGates(Tier tier) { return tier == Tier::kMailbox || tier == Tier::kSvmAhead; }

// Whether kernels and CPU tell each other through flags in shared memory.
constexpr bool UsesFlags(Tier tier) { return UsesGates(tier) || tier == Tier::kSvm; }

// What start-up found out about a device; the texts say why not, "" = it works.
struct TierProbe {
  std::string no_fine;    // fine-grained SVM with atomics
  std::string no_coarse;  // coarse-grained SVM
  std::string no_ahead;   // flags that a running kernel waits for
  std::string no_flags;   // flags that a kernel raises
};

// Why the device does not have this kind of memory, "" = it has.
std::string WhyNot(MemoryKind memory, const TierProbe& probe);

struct RefusedTier {
  Tier tier;
  std::string why;
};

struct TierChoice {
  Tier tier = Tier::kCpu;
  MemoryKind memory = MemoryKind::kFine;
  std::vector<RefusedTier> refused;  // the faster ones
};

// The fastest tier and kind of memory that work, or the wanted ones. Throws Error(kDevice) if those
// do not.
TierChoice ChooseTier(std::optional<Tier> tier, std::optional<MemoryKind> memory,
                      const TierProbe& probe);

}  // namespace hetcomp

#endif  // HETCOMP_TIER_H_
