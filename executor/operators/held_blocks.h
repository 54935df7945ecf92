// Holds blocks of an exchange that wait for their turn, as copies, and returns them in (ordinal,
// position) order. Thread-compatible.
#ifndef MILLRACE_EXECUTOR_OPERATORS_HELD_BLOCKS_H_
#define MILLRACE_EXECUTOR_OPERATORS_HELD_BLOCKS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "common/columnar/batch.h"
#include "executor/operators/operator.h"

namespace millrace::executor {

class HeldBlocks {
 public:
  // Copies the rows. The runs cover the selected rows in order.
  void Add(const Batch& block, std::span<const InputRun> runs);

  // Passes the runs of origins with ordinals < `ordinal` to `apply` in order, one at a time, and
  // drops them. Stops at the first error.
  absl::Status Release(
      uint64_t ordinal,
      absl::FunctionRef<absl::Status(const Batch& rows, const InputRun& run)> apply);

  // Returns and drops all rows: by ascending key group, and within a key group in (ordinal,
  // position) order. REQUIRES: not empty().
  Batch TakeByKeyGroup(uint32_t key_groups);

  bool empty() const { return runs_.empty(); }
  int64_t bytes() const { return bytes_; }
  void Clear();

 private:
  struct Held {
    InputRun run;
    std::shared_ptr<const Batch> block;  // dense
    uint32_t first_row;
    int64_t bytes;
  };
  void SortRuns();

  std::vector<Held> runs_;
  int64_t bytes_ = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_HELD_BLOCKS_H_
