// Decides which offsets of which partitions the next batch reads. Pure functions.
#ifndef MILLRACE_DRIVER_COORDINATOR_SPLIT_PLANNER_H_
#define MILLRACE_DRIVER_COORDINATOR_SPLIT_PLANNER_H_

#include <cstdint>
#include <vector>

namespace millrace::driver {

// Per partition: how many offsets it has beyond the last plan, how many the user's rate limit lets
// through, who reads it, and what an offset of it costs in memory.
struct SplitDemand {
  int64_t lag = 0;            // ≤ 0: nothing to read
  int64_t limit = INT64_MAX;  // of this partition in this batch
  uint32_t owner = 0;
  double bytes_per_offset = 0;
};

struct SplitShares {
  std::vector<int64_t> offsets;  // per partition: how many to read now
  bool cut_by_budget = false;    // the budget, not a rate limit, left offsets behind
};

// Shares `budget` offsets among the partitions. Half is shared evenly, so that a partition with a
// short backlog is read to its end whatever the others hold; the rest goes by what each still has,
// so that partitions with a long backlog end together. Offsets stand for records: where they have
// gaps, a batch is smaller than planned. No partition gets more than it demands, all together get
// no more than `budget`, and the budget is used up if there is demand for it.
SplitShares ShareBudget(const std::vector<SplitDemand>& demands, int64_t budget);

// `shares` of the same demands, made smaller until no owner reads more bytes than it may (an owner
// that reads anything may read one offset at least). What an owner may read is shared among its
// partitions as a budget is.
// REQUIRES: there is a number of bytes, > 0, for each owner of a demand.
SplitShares CutToBytes(const std::vector<SplitDemand>& demands,
                       const std::vector<int64_t>& bytes_of_owner, SplitShares shares);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_SPLIT_PLANNER_H_
