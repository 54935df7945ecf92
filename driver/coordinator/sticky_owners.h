// Who owned each of a job's shards, or of its partitions, in the epoch before: the next epoch
// leaves as many as it can where they are (assignment.h). Pure; thread-compatible.
#ifndef MILLRACE_DRIVER_COORDINATOR_STICKY_OWNERS_H_
#define MILLRACE_DRIVER_COORDINATOR_STICKY_OWNERS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/ids.h"

namespace millrace::driver {

// A member of an epoch, as assignments see it.
struct OwnerCandidate {
  ExecutorId id;
  uint32_t slots = 1;
};

class StickyOwners {
 public:
  // Gives each of `items`, numbers below `count`, to one of `members`, and remembers that. Items
  // that are not among them keep what is remembered of them. Returns one index into `members` per
  // item. REQUIRES: at least one member.
  std::vector<uint32_t> Assign(const std::vector<uint32_t>& items, size_t count,
                               const std::vector<OwnerCandidate>& members);

  // Remembers who got an item during the epoch. Items beyond those of Assign may be added.
  void Set(uint32_t item, const ExecutorId& owner);

 private:
  std::vector<ExecutorId> owners_;  // by item; empty = it never had one
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_STICKY_OWNERS_H_
