// How many records a batch may have so that it takes about the target time: the guard against a
// first batch over a day's backlog, and against batches that outgrow memory. Pure;
// thread-compatible.
//
// From each completed batch follows a rate (records / time from its plan to its last Prepared); the
// budget is that rate times the target. It grows at most fourfold per batch and only on evidence
// (batches that came near it), shrinks at most to a quarter, so that neither a hiccup nor a tiny
// batch, whose time is mostly overhead, throws it off. From the initial 64 k records per partition
// every rate between 1 k/s and 100 M/s is reached within about six batches.
#ifndef MILLRACE_DRIVER_BATCH_RATE_CONTROLLER_H_
#define MILLRACE_DRIVER_BATCH_RATE_CONTROLLER_H_

#include <cstddef>
#include <cstdint>

namespace millrace {

class RateController {
 public:
  static constexpr int64_t kInitialRecordsPerPartition = 64 << 10;
  static constexpr int64_t kLeastRecordsPerPartition = 100;
  // Sinks may hold a batch's output until it is committed.
  static constexpr int64_t kMaxBatchBytes = 256 << 20;

  // REQUIRES: target_us > 0.
  explicit RateController(int64_t target_us) : target_us_(target_us) {}

  // Records that the next batch may have over all `partitions` together; at least one per
  // partition.
  int64_t Budget(size_t partitions) const;

  // A batch of `records` records and `bytes` payload bytes, planned with `budget`, took
  // `elapsed_us` to be prepared.
  void OnBatch(int64_t budget, int64_t records, int64_t bytes, int64_t elapsed_us);

 private:
  int64_t target_us_;
  int64_t budget_ = 0;           // 0 = nothing known yet
  double bytes_per_record_ = 0;  // moving average; 0 = nothing known yet
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_BATCH_RATE_CONTROLLER_H_
