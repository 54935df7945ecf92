// How many offsets a batch may have so that it takes about the target time: the guard against a
// first batch over a day's backlog. (Memory is for BatchSizer to guard; a batch that has shown
// itself to be too large for it puts a ceiling on the next ones.) Pure; thread-compatible.
//
// From each completed batch follows a rate (offsets / time from its plan to its last Prepared); the
// budget is that rate times the target. It grows at most fourfold per batch and only on evidence
// (batches that came near it), shrinks at most to a quarter, so that neither a hiccup nor a tiny
// batch, whose time is mostly overhead, throws it off. From the initial 64 k offsets per partition
// every rate between 1 k/s and 100 M/s is reached within about six batches.
#ifndef MILLRACE_DRIVER_COORDINATOR_RATE_CONTROLLER_H_
#define MILLRACE_DRIVER_COORDINATOR_RATE_CONTROLLER_H_

#include <cstddef>
#include <cstdint>

namespace millrace::driver {

class RateController {
 public:
  static constexpr int64_t kInitialRecordsPerPartition = 64 << 10;
  static constexpr int64_t kLeastRecordsPerPartition = 100;
  // REQUIRES: target_us > 0.
  explicit RateController(int64_t target_us) : target_us_(target_us) {}

  // Offsets that the next batch may have over all `partitions` together; at least one per partition
  // unless the ceiling is lower, and at least one.
  int64_t Budget(size_t partitions) const;

  // A batch of `offsets`, planned with `budget`, took `elapsed_us` to be prepared.
  void OnBatch(int64_t budget, int64_t offsets, int64_t elapsed_us);

  // A batch of `offsets` needed more memory than there was: no batch has more than half of that
  // until batches near this ceiling have gone well, each of which raises it a little.
  // REQUIRES: offsets > 1.
  void OnTooLarge(int64_t offsets);

 private:
  int64_t target_us_;
  int64_t budget_ = 0;           // 0 = nothing known yet
  int64_t ceiling_ = INT64_MAX;  // after batches that were too large
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_RATE_CONTROLLER_H_
