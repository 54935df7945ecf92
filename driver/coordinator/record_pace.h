// Limits one partition to a number of records a second, although plans are made of positions:
// offsets of a compacted topic have holes, and those of a file are bytes. It learns from what was
// read how many positions a record takes. If a batch reads more records than the limit allows,
// since they turned out to be smaller, later batches get that many fewer. Pure; thread-compatible.
#ifndef MILLRACE_DRIVER_COORDINATOR_RECORD_PACE_H_
#define MILLRACE_DRIVER_COORDINATOR_RECORD_PACE_H_

#include <cstdint>

namespace millrace::driver {

class RecordPace {
 public:
  // The number of positions that may be planned now, with `records_per_second` as the limit. The
  // first call grants the records of `first_us`; unused records are kept for at most `most_us`.
  // REQUIRES: records_per_second > 0; moments do not go back.
  int64_t Allowed(int64_t records_per_second, int64_t first_us, int64_t most_us, int64_t now_us);

  // Learns that a split of so many positions had so many records.
  void OnRead(int64_t positions, int64_t records);

 private:
  double records_left_ = 0;  // records that may be read now; below zero after too many were read
  int64_t granted_us_ = -1;  // records are granted up to this time; −1 = none were yet
  double positions_per_record_ = 1;
  bool measured_ = false;
  double holes_ = 1;  // factor by which plans look further while they find no record
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_RECORD_PACE_H_
