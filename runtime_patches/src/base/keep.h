// Memory that a kernel may still write to when nobody waits for it any more.
#ifndef HETCOMP_KEEP_H_
#define HETCOMP_KEEP_H_

#include <memory>

namespace hetcomp {

// Keeps `object` until the process ends; null is allowed. Any thread. It stays reachable, so that
// what a leak detector finds is a leak.
void KeepForEver(std::shared_ptr<void> object);

}  // namespace hetcomp

#endif  // HETCOMP_KEEP_H_
