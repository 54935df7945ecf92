// Who gets which partition and keyed shard in a new epoch. Pure functions.
#ifndef MILLRACE_DRIVER_COORDINATOR_ASSIGNMENT_H_
#define MILLRACE_DRIVER_COORDINATOR_ASSIGNMENT_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace millrace::driver {

// Gives each item (partition or shard) to one of `slots.size()` members in proportion to their
// slots: each member's count is its exact share rounded up or down. `previous[i]` is the member
// item i was with, if that one is still there; as many items stay where they are as the shares
// allow, so that little state and few prefetched records move. Returns one member per item.
// REQUIRES: at least one member; a member with 0 slots counts as one with 1.
std::vector<uint32_t> AssignSticky(const std::vector<uint32_t>& slots,
                                   const std::vector<std::optional<uint32_t>>& previous);

// Picks the member for one more item during an epoch, when no placed item may move: the member with
// the fewest items (`counts`) per slot, and the first of several such members.
uint32_t LeastLoaded(const std::vector<uint32_t>& slots, const std::vector<uint32_t>& counts);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_ASSIGNMENT_H_
